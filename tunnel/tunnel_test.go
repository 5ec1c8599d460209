package tunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/ddbproxy/ddbproxy/internal/bastion"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target is an allowed name; dials to it reach an echo server.
const target = "dynamodb.eu-west-1.amazonaws.com:443"

// scene is a bastion, a target behind it, and a laptop's ssh files.
type scene struct {
	bastion    *bastion.Server
	addr       string // of the bastion
	key        string // file
	knownHosts string // file
	dir        string
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func writeKey(t testing.TB, file, passphrase string) ssh.PublicKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, _ := ssh.NewSignerFromKey(private)
	return signer.PublicKey()
}

func newScene(t testing.TB) *scene {
	t.Helper()
	sc := &scene{dir: t.TempDir()}
	sc.key = filepath.Join(sc.dir, "id_ed25519")
	sc.knownHosts = filepath.Join(sc.dir, "known_hosts")
	public := writeKey(t, sc.key, "")

	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var echoes sync.WaitGroup
	echoes.Go(func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			echoes.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	sc.bastion = &bastion.Server{
		HostKey:    newKey(t),
		Authorized: []ssh.PublicKey{public},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != target {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
			}
			var d net.Dialer
			return d.DialContext(ctx, network, echo.Addr().String())
		},
	}
	sc.serve(t, "127.0.0.1:0")
	sc.trust(t, sc.bastion.HostKey.PublicKey())
	t.Cleanup(func() {
		sc.bastion.Close()
		echo.Close()
		echoes.Wait()
	})
	return sc
}

// serve starts listening, again after a Disconnect.
func (sc *scene) serve(t testing.TB, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	sc.addr = l.Addr().String()
	go sc.bastion.Serve(l)
}

func (sc *scene) trust(t testing.TB, key ssh.PublicKey) {
	t.Helper()
	line := knownhosts.Line([]string{knownhosts.Normalize(sc.addr)}, key) + "\n"
	if err := os.WriteFile(sc.knownHosts, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (sc *scene) client(t testing.TB) *Client {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	empty := filepath.Join(sc.dir, "ssh_config")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return &Client{
		Destination: "dev@" + sc.addr,
		ConfigFile:  empty,
		Identities:  []string{sc.key},
		KnownHosts:  []string{sc.knownHosts},
		RelayArgs:   []string{"-region", "eu-west-1"},
		Version:     "test",
	}
}

func start(t *testing.T, c *Client) {
	t.Helper()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}

// ping sends a word through the tunnel and wants it back.
func ping(ctx context.Context, c *Client) error {
	conn, err := c.DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("ping")); err != nil {
		return err
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != "ping" {
		return fmt.Errorf("echo = %q", got)
	}
	return nil
}

func TestTunnelCarriesThroughTheRelay(t *testing.T) {
	c := newScene(t).client(t)
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if st := c.Status(); !st.Up || st.Carrier != CarrierRelay {
		t.Errorf("status = %+v, want up by relay", st)
	}
}

func TestTunnelFallsBackToForwardingWhereNoRelayIs(t *testing.T) {
	sc := newScene(t)
	sc.bastion.Forward = true
	sc.bastion.Exec = func(_ string, ch ssh.Channel) int {
		io.WriteString(ch.Stderr(), "This service allows sftp connections only.\n")
		return 1
	}
	c := sc.client(t)
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	st := c.Status()
	if st.Carrier != CarrierForward || !strings.Contains(st.Reason, "This service allows sftp connections only.") {
		t.Errorf("status = %+v, want forward because of what the bastion said", st)
	}
}

func TestNoRelayAndNoForwardingIsOnePermanentError(t *testing.T) {
	sc := newScene(t)
	sc.bastion.Exec = func(_ string, ch ssh.Channel) int {
		io.WriteString(ch, "ddbproxy-relay missing Linux riscv64\n")
		return 127
	}
	c := sc.client(t)
	start(t, c)
	err := ping(t.Context(), c)
	var e *Error
	if !errors.As(err, &e) || !e.Permanent() || e.Hop() != "relay" {
		t.Fatalf("error = %v, want a permanent one at the relay", err)
	}
	for _, part := range []string{"AllowTcpForwarding no", "carries none for linux/riscv64"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestRelayRefusesNamesThatAreNotDynamoDB(t *testing.T) {
	c := newScene(t).client(t)
	start(t, c)
	for _, name := range []string{"example.com:443", "169.254.169.254:80", "dynamodb.us-east-1.amazonaws.com:443", "localhost:22"} {
		_, err := c.DialContext(t.Context(), "tcp", name)
		var refused *relay.Error
		if !errors.As(err, &refused) || refused.Kind != relay.KindDenied {
			t.Errorf("dial %s: %v, want it denied", name, err)
		}
	}
}

func TestTunnelComesBackWhileARequestWaits(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	addr := sc.addr
	sc.bastion.Disconnect()
	waiting := make(chan error, 1)
	go func() { waiting <- ping(t.Context(), c) }()
	sc.serve(t, addr)
	if err := <-waiting; err != nil {
		t.Fatalf("the request that waited: %v", err)
	}
}

func TestWaitForTheTunnelEndsWithTheRequest(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	sc.bastion.Disconnect()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := ping(ctx, c)
	var e *Error
	if !errors.As(err, &e) || e.Permanent() || e.Hop() != "ssh" {
		t.Fatalf("error = %v, want a passing one at ssh", err)
	}
}

func TestHostKeyThatChangesWhileAwayIsAPermanentError(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	addr := sc.addr
	sc.bastion.Close()
	impostor := &bastion.Server{HostKey: newKey(t), Authorized: sc.bastion.Authorized}
	t.Cleanup(func() { impostor.Close() })
	sc.bastion = impostor
	sc.serve(t, addr)
	err := ping(t.Context(), c)
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindHostKey || !e.Permanent() {
		t.Fatalf("error = %v, want a permanent one about the host key", err)
	}
}

func TestStartErrors(t *testing.T) {
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	nobody := closed.Addr().String()
	closed.Close()
	silent, _ := net.Listen("tcp", "127.0.0.1:0")
	defer silent.Close()
	go func() { // greets, then hangs up
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	}()
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, sc *scene, c *Client)
		kind   Kind
		want   []string // parts of the sentence
	}{
		{"unknown host", func(_ *testing.T, _ *scene, c *Client) { c.Destination = "dev@nowhere.invalid" },
			KindUnreachable, []string{"ssh: dev@nowhere.invalid:22: no such host nowhere.invalid", "check the name"}},
		{"wrong port", func(_ *testing.T, _ *scene, c *Client) { c.Destination = "dev@" + nobody },
			KindUnreachable, []string{nobody + ": connection refused", "HOST:PORT"}},
		{"not an ssh server", func(_ *testing.T, _ *scene, c *Client) { c.Destination = "dev@" + silent.Addr().String() },
			KindUnreachable, []string{silent.Addr().String()}},
		{"refused key", func(t *testing.T, sc *scene, c *Client) {
			c.Identities = []string{filepath.Join(sc.dir, "other")}
			writeKey(t, c.Identities[0], "")
		}, KindAuth, []string{"login refused for ed25519 SHA256:", "ssh-add"}},
		{"encrypted key without a terminal", func(t *testing.T, sc *scene, c *Client) {
			c.Identities = []string{filepath.Join(sc.dir, "locked")}
			writeKey(t, c.Identities[0], "secret")
		}, KindAuth, []string{"locked is encrypted and there is no terminal"}},
		{"no such identity file", func(_ *testing.T, sc *scene, c *Client) { c.Identities = []string{filepath.Join(sc.dir, "absent")} },
			KindConfig, []string{"identity file", "absent: no such file"}},
		{"unknown host key without a terminal", func(t *testing.T, sc *scene, _ *Client) { os.Truncate(sc.knownHosts, 0) },
			KindHostKey, []string{"is not in ", "known_hosts", "connect once on a terminal"}},
		{"changed host key", func(t *testing.T, sc *scene, _ *Client) { sc.trust(t, newKey(t).PublicKey()) },
			KindHostKey, []string{"HOST KEY CHANGED", "known_hosts:1 has", "ssh-keygen -R"}},
		{"revoked host key", func(t *testing.T, sc *scene, _ *Client) {
			line := "@revoked * " + string(ssh.MarshalAuthorizedKey(sc.bastion.HostKey.PublicKey()))
			os.WriteFile(sc.knownHosts, []byte(line), 0o600)
		}, KindHostKey, []string{"marked as revoked"}},
		{"an option for a host", func(_ *testing.T, _ *scene, c *Client) { c.Destination = "-oProxyCommand=id" },
			KindConfig, []string{"not a host name"}},
		{"a broken ssh_config", func(_ *testing.T, _ *scene, c *Client) { os.WriteFile(c.ConfigFile, []byte("Hots x\n"), 0o600) },
			KindConfig, []string{"Bad configuration option: hots", "ssh -G"}},
		{"relay demanded, none there", func(_ *testing.T, sc *scene, c *Client) {
			c.Carrier = CarrierRelay
			sc.bastion.Exec = func(_ string, ch ssh.Channel) int {
				io.WriteString(ch, "ddbproxy-relay missing Linux x86_64\n")
				return 127
			}
		}, KindRelay, []string{"no relay on the bastion", "linux/amd64", "install ddbproxy-relay"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			c := sc.client(t)
			tc.change(t, sc, c)
			err := c.Start(t.Context())
			c.Close()
			var e *Error
			if !errors.As(err, &e) || e.Kind != tc.kind {
				t.Fatalf("error = %#v, want kind %d", err, tc.kind)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has more than one line", err)
			}
		})
	}
}

// answers is a Prompter that gives fixed answers in turn.
type answers struct {
	mu    sync.Mutex
	left  []string
	asked []string
}

func (a *answers) Ask(_ context.Context, question string, _ bool) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, question)
	if len(a.left) == 0 {
		return "", io.EOF
	}
	answer := a.left[0]
	a.left = a.left[1:]
	return answer, nil
}

func TestEncryptedKeyIsAskedForOnce(t *testing.T) {
	sc := newScene(t)
	locked := filepath.Join(sc.dir, "locked")
	sc.bastion.Authorized = []ssh.PublicKey{writeKey(t, locked, "open sesame")}
	p := &answers{left: []string{"wrong", "open sesame"}}
	c := sc.client(t)
	c.Identities, c.Prompter = []string{locked}, p
	start(t, c)
	addr := sc.addr
	sc.bastion.Disconnect()
	sc.serve(t, addr)
	if err := ping(t.Context(), c); err != nil {
		t.Fatalf("after a reconnect: %v", err)
	}
	if len(p.asked) != 2 {
		t.Errorf("asked %q, want the wrong and the right one", p.asked)
	}
}

func TestUnknownHostKeyIsShownAskedAndRemembered(t *testing.T) {
	sc := newScene(t)
	os.Remove(sc.knownHosts)
	p := &answers{left: []string{"what", "yes"}}
	c := sc.client(t)
	c.Prompter = p
	start(t, c)
	if fingerprint := ssh.FingerprintSHA256(sc.bastion.HostKey.PublicKey()); !strings.Contains(p.asked[0], fingerprint) {
		t.Errorf("question %q does not show %s", p.asked[0], fingerprint)
	}
	again := sc.client(t) // no prompter: must know the key now
	start(t, again)
}

func TestUnknownHostKeyThatIsDeclinedStopsTheLogin(t *testing.T) {
	sc := newScene(t)
	os.Remove(sc.knownHosts)
	c := sc.client(t)
	c.Prompter = &answers{left: []string{"no"}}
	err := c.Start(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindHostKey {
		t.Fatalf("error = %v, want one about the host key", err)
	}
	if _, err := os.Stat(sc.knownHosts); err == nil {
		t.Error("a declined key was remembered")
	}
}

func TestSplitDestination(t *testing.T) {
	for _, tc := range []struct{ in, target, port, err string }{
		{"bastion", "bastion", "", ""},
		{"dev@bastion", "dev@bastion", "", ""},
		{"dev@bastion:2222", "dev@bastion", "2222", ""},
		{"ssh://dev@bastion:2222/", "dev@bastion", "2222", ""},
		{"first.last@corp@bastion", "first.last@corp@bastion", "", ""},
		{"[::1]:2222", "::1", "2222", ""},
		{"dev@::1", "dev@::1", "", ""},
		{"bastion:", "", "", "a colon without a port"},
		{"bastion:ssh", "", "", `"ssh" is not a port`},
		{"bastion:70000", "", "", `"70000" is not a port`},
		{"", "", "", "no host name"},
		{"dev@", "", "", "no host name"},
		{"-v", "", "", "not a host name"},
		{"a b", "", "", "not a host name"},
		{"$(id)", "", "", "not a host name"},
		{"https://bastion", "", "", `"//bastion" is not a port`},
	} {
		target, port, err := splitDestination(tc.in)
		if target != tc.target && tc.err == "" || port != tc.port && tc.err == "" || fmt.Sprint(err) != tc.err && tc.err != "" || tc.err == "" && err != nil {
			t.Errorf("splitDestination(%q) = %q, %q, %v; want %q, %q, %s", tc.in, target, port, err, tc.target, tc.port, tc.err)
		}
	}
}

func FuzzSplitDestination(f *testing.F) {
	f.Add("dev@bastion:22")
	f.Add("[::1]:22")
	f.Fuzz(func(t *testing.T, s string) {
		target, _, err := splitDestination(s)
		if err == nil && (strings.HasPrefix(target, "-") || strings.ContainsAny(target, " '\"`$;&|<>\n")) {
			t.Errorf("splitDestination(%q) let %q through", s, target)
		}
	})
}

func TestStartCommandRefusesArgumentsForTheShell(t *testing.T) {
	for _, arg := range []string{"", "a b", "$(id)", "x;y", "'", "é"} {
		if command, err := startCommand(true, nil, []string{arg}); err == nil {
			t.Errorf("argument %q became %q", arg, command)
		}
	}
}

func TestScriptsAreOneWordForEveryLoginShell(t *testing.T) {
	start, err := startCommand(true, []string{"aa", "bb"}, []string{"-region", "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{start, uploadCommand("aa")} {
		script := strings.TrimSuffix(strings.TrimPrefix(command, "sh -c '"), "'")
		if len(script) != len(command)-len("sh -c ''") || strings.ContainsAny(script, "'!\n") {
			t.Errorf("not one single-quoted word for sh, csh and fish: %s", command)
		}
	}
}
