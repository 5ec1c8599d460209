package doctor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/internal/bastion"
	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/survey"
	"github.com/ddbproxy/ddbproxy/internal/tinydb"
	"github.com/ddbproxy/ddbproxy/tunnel"
)

const (
	region  = "eu-west-1"
	ddbName = "dynamodb." + region + ".amazonaws.com"
	vpce    = "vpce-0123456789abcdef0"
	keyID   = "AKIAEXAMPLE"
)

// stage is a laptop, a bastion and AWS, of which a test breaks a part.
type stage struct {
	t       *testing.T
	dir     string
	aws     *edge.Server
	bastion *bastion.Server
	place   *survey.Surveyor
	facts   *Facts
	way     *Way
	machine *Machine

	internet, inside, ssh net.Addr
	hostKey               ssh.Signer
	creds                 aws.CredentialsProvider
	sso, offline          bool                                                              // the credentials come by SSO; the laptop does not reach AWS
	shared                *config.SharedConfig                                              // the profile; nil: by sso
	after                 func()                                                            // changes what depends on addresses
	dial                  func(ctx context.Context, network, addr string) (net.Conn, error) // of the bastion; nil leads inside
}

// newStage builds one on which all is well. change comes before anything serves.
func newStage(t *testing.T, change func(s *stage)) *stage {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	s := &stage{t: t, dir: t.TempDir(), creds: key(keyID, "secret")}
	ca, err := edge.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	s.aws = &edge.Server{
		CA: ca, Region: region, Policy: edge.Policy{SourceVpce: vpce}, Backend: &tinydb.DB{Region: region},
		Users: map[string]edge.User{keyID: {Secret: "secret", Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/dev"}},
	}
	var userKey ssh.Signer
	s.hostKey, _ = newKey(t)
	userKey, private := newKey(t)
	s.write("id", string(private))
	s.write("ssh_config", "")
	s.place = &survey.Surveyor{Metadata: s.metadata(), Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("52.94.24.5")}, nil
	}}
	s.bastion = &bastion.Server{HostKey: s.hostKey, Authorized: []ssh.PublicKey{userKey.PublicKey()}, Surveyor: s.place, Dial: s.dialInside}
	s.facts = &Facts{Region: region, Endpoint: ddbName}
	s.way = &Way{Roots: ca.Pool(), Version: "devel", Client: &tunnel.Client{
		ConfigFile: filepath.Join(s.dir, "ssh_config"), Identities: []string{filepath.Join(s.dir, "id")},
		KnownHosts: []string{filepath.Join(s.dir, "known_hosts")}, RelayArgs: []string{"-region", region}, Version: "devel",
	}}
	s.machine = s.newMachine()
	if change != nil {
		change(s)
	}
	s.internet = s.listen(s.aws.Serve)
	s.inside = s.listen(func(l net.Listener) error { return s.aws.Serve(edge.Entrance(l, vpce)) })
	s.ssh = s.listen(s.bastion.Serve)
	if _, err := os.Stat(filepath.Join(s.dir, "known_hosts")); err != nil {
		s.write("known_hosts", knownhosts.Line([]string{knownhosts.Normalize(s.ssh.String())}, s.hostKey.PublicKey())+"\n")
	}
	if s.way.Client.Destination == "" {
		s.way.Client.Destination = "dev@" + s.ssh.String()
	}
	if s.after != nil {
		s.after()
	}
	s.facts.Bastion = s.way.Client.Destination
	s.facts.Config = aws.Config{Region: region, Credentials: s.creds, HTTPClient: s.direct()}
	if s.sso {
		s.facts.Config.ConfigSources = []any{config.SharedConfig{SSOSessionName: "corp"}}
	}
	if s.shared != nil {
		s.facts.Config.ConfigSources = []any{*s.shared}
	}
	t.Cleanup(func() {
		s.way.Close()
		s.bastion.Close()
		s.aws.Close()
	})
	return s
}

func (s *stage) newMachine() *Machine {
	well := func(context.Context, *Facts) Finding { return Well("well") }
	shell := func(name string) string { return map[string]string{"AWS_REGION": region}[name] }
	return &Machine{Configuration: well, Settings: well, Port: well, Now: time.Now,
		Whose: func(c aws.Credentials) string { return c.AccessKeyID },
		Tools: Tools{Env: shell, URL: "http://localhost:8000", CLI: func(context.Context) (string, error) { return "aws-cli/2.13.0", nil }}}
}

// direct is the laptop's own way to AWS.
func (s *stage) direct() *http.Client {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.internet.String())
	}}
	transport.TLSClientConfig = &tls.Config{RootCAs: s.aws.CA.Pool()}
	if s.offline {
		return &http.Client{Transport: offlineTransport{}}
	}
	return &http.Client{Transport: transport}
}

func (s *stage) dialInside(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.dial != nil {
		return s.dial(ctx, network, addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, s.inside.String())
}

func (s *stage) listen(serve func(net.Listener) error) net.Addr {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = serve(l) })
	s.t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr()
}

func (s *stage) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// metadata is the instance metadata of the bastion.
func (s *stage) metadata() (url string) {
	values := map[string]string{"placement/region": region, "instance-id": "i-0123456789abcdef0", "local-ipv4": "10.0.0.10", "mac": "02:00",
		"network/interfaces/macs/02:00/vpc-id": "vpc-0abc", "network/interfaces/macs/02:00/subnet-id": "subnet-0abc", "network/interfaces/macs/02:00/security-group-ids": "sg-0abc"}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if value, ok := values[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]; ok || r.Method == http.MethodPut {
			_, _ = w.Write([]byte(value + "\n"))
			return
		}
		http.NotFound(w, r)
	})}
	addr := s.listen(func(l net.Listener) error { return server.Serve(l) })
	s.t.Cleanup(func() { server.Close() })
	return "http://" + addr.String()
}

func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// examine makes all checks but those of AWS, which have scenes of their own.
func (s *stage) examine() ([]Result, string) {
	s.t.Helper()
	var out bytes.Buffer
	l := Checklist{Each: (&Printer{W: &out}).Print}
	laptop := *s.facts
	laptop.Bastion = ""
	l.Run(s.t.Context(), s.machine.Checks(), &laptop)
	bastion := s.facts.Bastion
	*s.facts = laptop
	s.facts.Bastion = bastion
	l.Run(s.t.Context(), s.way.Checks(), s.facts)
	l.Run(s.t.Context(), s.way.Proof(), s.facts)
	return l.Results, out.String()
}
