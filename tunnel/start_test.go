package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

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
		{"three wrong passphrases", func(t *testing.T, sc *scene, c *Client) {
			c.Identities = []string{filepath.Join(sc.dir, "locked")}
			sc.bastion.Authorized = []ssh.PublicKey{writeKey(t, c.Identities[0], "secret")}
			c.Prompter = &answers{left: []string{"a", "b", "c"}}
		}, KindAuth, []string{"three wrong passphrases for ", "ssh-add"}},
		{"a key that others can read", func(_ *testing.T, sc *scene, _ *Client) { os.Chmod(sc.key, 0o644) },
			KindAuth, []string{"is open to other users (mode 0644)", "chmod 600 "}},
		{"a public key alone", func(t *testing.T, sc *scene, c *Client) {
			c.Identities = []string{filepath.Join(sc.dir, "only.pub")}
			os.WriteFile(c.Identities[0], ssh.MarshalAuthorizedKey(newKey(t).PublicKey()), 0o600)
		}, KindAuth, []string{"only.pub is a public key, and no agent has its private half"}},
		{"no such identity file", func(_ *testing.T, sc *scene, c *Client) { c.Identities = []string{filepath.Join(sc.dir, "absent")} },
			KindConfig, []string{"identity file", "absent: no such file"}},
		{"unknown host key without a terminal", func(t *testing.T, sc *scene, _ *Client) { os.Truncate(sc.knownHosts, 0) },
			KindHostKey, []string{"is not in ", "known_hosts", "connect once on a terminal"}},
		{"changed host key", func(t *testing.T, sc *scene, _ *Client) { sc.trust(t, newKey(t).PublicKey()) },
			KindHostKey, []string{"HOST KEY CHANGED", "known_hosts:1 has", "ssh-keygen -f '"}},
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

func TestInterruptedUploadIsNoTunnel(t *testing.T) {
	sc := newScene(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) }) // before the bastion is closed
	sc.bastion.Forward = true
	sc.bastion.Exec = func(command string, ch ssh.Channel) int {
		if strings.Contains(command, "umask") { // the upload: nothing is read
			<-release
			return 1
		}
		io.WriteString(ch, "ddbproxy-relay missing Linux x86_64\n")
		return 127
	}
	c := sc.client(t)
	c.Program = func(string, string) *Program {
		return &Program{Hash: "00", Gzip: func() []byte { return make([]byte, 4<<20) }}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := c.Start(ctx)
	c.Close()
	var e *Error
	if !errors.As(err, &e) || e.Permanent() {
		t.Errorf("Start = %v, want a passing error", err)
	}
}

// A server that refuses exec requests may still forward.
func TestServerThatRunsNoProgram(t *testing.T) {
	sc := newScene(t)
	sc.bastion.NoExec, sc.bastion.Forward = true, true
	c := sc.client(t)
	start(t, c)
	if st := c.Status(); st.Carrier != CarrierForward || !strings.Contains(st.Reason, "the bastion runs no program for this account") {
		t.Errorf("carrier %s, reason %q", st.Carrier, st.Reason)
	}
	if err := ping(t.Context(), c); err != nil {
		t.Error(err)
	}
}
