package edge

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestCertificatesVerifyForTheirNamesOnly(t *testing.T) {
	t.Parallel()
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a", 60) + ".dynamodb.eu-west-1.vpce.amazonaws.com"
	cert, err := ca.Issue(long, host)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(ca.PEM())
	if block == nil || len(rest) != 0 {
		t.Fatalf("PEM is not one block: %s", ca.PEM())
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	for name, want := range map[string]string{long: "", host: "", "localhost": "x509: certificate is valid for"} {
		for _, at := range []time.Time{time.Now(), time.Now().Add(-59 * time.Minute)} {
			_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
				t.Errorf("%s at %v: %v, want %q", name, at, err, want)
			}
		}
	}
	if len(cert.Leaf.AuthorityKeyId) == 0 || len(root.SubjectKeyId) == 0 || cert.Leaf.KeyUsage != x509.KeyUsageDigitalSignature || root.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Error("key identifiers or key usages are missing; Python's strict verification wants them")
	}
	if _, err := ca.Issue(); err == nil {
		t.Error("Issue without names succeeded")
	}
}

// fixed is a connection from an address.
type fixed struct {
	net.Conn
	from net.Addr
}

func (f fixed) RemoteAddr() net.Addr { return f.from }

type named string

func (n named) Network() string { return "pipe" }
func (n named) String() string  { return string(n) }

func TestSourceByAddress(t *testing.T) {
	t.Parallel()
	source := FromAddress(vpce, netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("fd00::/8"))
	for from, want := range map[string]string{
		"10.0.3.4:555": vpce, "[::ffff:10.0.3.4]:555": vpce, "[fd00::1]:555": vpce, "10.1.0.1:555": "", "203.0.113.9:555": "", "pipe": "",
	} {
		if got := source(fixed{from: named(from)}); got != want {
			t.Errorf("%s comes through %q, want %q", from, got, want)
		}
	}
}

func TestSourceByEntrance(t *testing.T) {
	t.Parallel()
	if got := FromEntrance(&markedConn{vpce: vpce}); got != vpce {
		t.Errorf("marked connection comes through %q, want %q", got, vpce)
	}
	if got := FromEntrance(fixed{}); got != "" {
		t.Errorf("other connection comes through %q, want the internet", got)
	}
}
