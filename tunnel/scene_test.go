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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/bastion"
	"github.com/ddbproxy/ddbproxy/internal/relayd"
	"github.com/skeema/knownhosts"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) {
	if os.Getenv("DDBPROXY_TEST_CARRY") != "" {
		os.Exit(carry(os.Args[1]))
	}
	if echo := os.Getenv("DDBPROXY_TEST_RELAY"); echo != "" {
		p := relayd.Program{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Close: os.Stdin.Close, Dial: dialTo(echo)}
		os.Exit(p.Run(context.Background(), []string{"-region", "eu-west-1"}))
	}
	goleak.VerifyTestMain(m)
}

// target is an allowed name; dials to it reach an echo server.
const target = "dynamodb.eu-west-1.amazonaws.com:443"

// scene is a bastion, a target behind it, and a laptop's ssh files.
type scene struct {
	bastion    *bastion.Server
	addr       string // of the bastion
	key        string // file
	knownHosts string // file
	dir        string
	echo       string // address of what target stands for
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
	sc.echo = echo.Addr().String()
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
		Dial:       dialTo(sc.echo),
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

// dialTo is a network where target is at echo, and nothing else is there.
func dialTo(echo string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != target {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
		}
		var d net.Dialer
		return d.DialContext(ctx, network, echo)
	}
}

// bastionLike is another bastion with the same key and network.
func (sc *scene) bastionLike(login func(*ssh.ServerConfig)) *bastion.Server {
	return &bastion.Server{HostKey: sc.bastion.HostKey, Authorized: sc.bastion.Authorized, Dial: sc.bastion.Dial, Login: login}
}

// serve starts listening, again after a Disconnect.
func (sc *scene) serve(t testing.TB, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	// The kernel may have given the port to an outgoing connection meanwhile.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		<-tick.C
		l, err = net.Listen("tcp", addr)
	}
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
func ping(ctx context.Context, c interface {
	DialContext(context.Context, string, string) (net.Conn, error)
}) error {
	conn, err := c.DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	defer conn.Close()
	return echoed(conn)
}

// echoed sends a word and wants it back.
func echoed(conn net.Conn) error {
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

// carry is what this test's own program is as a ProxyCommand: standard input and
// output joined to an address.
func carry(addr string) int {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		io.Copy(conn, os.Stdin)
		conn.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(os.Stdout, conn)
	return 0
}
