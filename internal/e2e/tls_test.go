//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// Clients that insist on https get it on the same port, once they trust the
// user's own authority.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect("--tls")
	secureURL := strings.Replace(localURL, "http:", "https:", 1)
	dir := filepath.Join(r.Home, ".config", "ddbproxy")

	name, args := inSession(lab.ClientScript(t, "boto3_story.py"), "list")
	if got := r.client(withoutKeys(), name, args...); got.code != 0 {
		t.Errorf("boto3 as ddbproxy env has it: %+v", got)
	}
	name, args = inSession(lab.ClientScript(t, "jsv3_story.mjs"), "list")
	if got := r.client(withoutKeys(), name, args...); got.code != 0 {
		t.Errorf("JavaScript: %+v", got)
	}
	if got := r.cli([]string{"AWS_CA_BUNDLE=" + filepath.Join(dir, "ca-bundle.pem")}, "list-tables", "--endpoint-url", secureURL); got.code != 0 {
		t.Errorf("AWS CLI: %+v", got)
	}
	if got := r.local("list-tables"); got.code != 0 {
		t.Errorf("plain HTTP: %+v", got)
	}
	// The bundle has the authority of the pretend AWS too, which AWS_CA_BUNDLE
	// named before: proxy mode works with it.
	if got := r.cli([]string{"HTTPS_PROXY=" + localURL, "AWS_CA_BUNDLE=" + filepath.Join(dir, "ca-bundle.pem")}, "list-tables"); got.code != 0 {
		t.Errorf("proxy mode: %+v", got)
	}
	if got := r.applied("ListTables"); got != 5 {
		t.Errorf("DynamoDB answered %d times, want 5", got)
	}
	got := r.cli([]string{"AWS_MAX_ATTEMPTS=1"}, "list-tables", "--endpoint-url", secureURL)
	if got.code == 0 {
		t.Error("a client that does not trust the authority was answered")
	}
	contains(r, got.stderr, "CERTIFICATE_VERIFY_FAILED")
	eventually(t, "ddbproxy says what the client has to trust", func() bool {
		return strings.Contains(s.stderr.String(), "it has to trust "+filepath.Join(dir, "local-ca.pem"))
	})
}

// On another machine they come by another name, which has its own authority.
func TestHTTPSOfAnotherMachine(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect("--tls", "--listen", "0.0.0.0:8000,[::1]:8000", "--listen-anywhere", "--listen-name", "ddb.internal,"+lab.LaptopAddr)
	contains(r, s.stderr.String(), "unencrypted unless they use https")
	files, err := filepath.Glob(filepath.Join(r.Home, ".config", "ddbproxy", "local-ca-????????.pem"))
	if err != nil || len(files) != 1 {
		t.Fatalf("authorities: %q, %v, want one", files, err)
	}
	authority, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	afar := r.Dialer(lab.Bastion)
	for _, host := range []string{"ddb.internal", lab.LaptopAddr} {
		c := r.sdkOver(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return afar(ctx, network, net.JoinHostPort(lab.LaptopAddr, "8000"))
		}}, once, func(o *dynamodb.Options) { o.BaseEndpoint = aws.String("https://" + host + ":8000") })
		if _, err := c.ListTables(t.Context(), nil); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
}
