package tunnel

import (
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// configure replaces c's flags by lines of ssh_config.
func configure(t *testing.T, c *Client, lines ...string) {
	t.Helper()
	c.Identities, c.KnownHosts = nil, nil
	if err := os.WriteFile(c.ConfigFile, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certify signs the key in file for an hour around now, as the authority.
func certify(t *testing.T, authority ssh.Signer, key ssh.PublicKey, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	now := time.Now()
	c := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, KeyId: "laptop", ValidPrincipals: []string{"dev"},
		ValidAfter: uint64(now.Add(-time.Hour).Unix()), ValidBefore: uint64(now.Add(time.Hour).Unix()),
	}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return c
}

func writeCertificate(t *testing.T, file string, c *ssh.Certificate) {
	t.Helper()
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(c), 0o600); err != nil {
		t.Fatal(err)
	}
}

func publicOf(t *testing.T, file string) ssh.PublicKey {
	t.Helper()
	key, err := readKey(file)
	if err != nil {
		t.Fatal(err)
	}
	return key.public
}

// trusting makes the bastion take certificates of an authority and no keys.
func (sc *scene) trusting(t *testing.T) (authority ssh.Signer) {
	t.Helper()
	authority = newKey(t)
	checker := &ssh.CertChecker{IsUserAuthority: func(key ssh.PublicKey) bool { return sameKey(key, authority.PublicKey()) }}
	sc.renew(t, func(c *ssh.ServerConfig) { c.PublicKeyCallback = checker.Authenticate })
	return authority
}

// renew starts another bastion with another way to log in.
func (sc *scene) renew(t *testing.T, login func(*ssh.ServerConfig)) {
	t.Helper()
	sc.bastion.Close()
	sc.bastion = sc.bastionLike(login)
	server := sc.bastion
	t.Cleanup(func() { server.Close() })
	sc.serve(t, "127.0.0.1:0")
	sc.trust(t, server.HostKey.PublicKey())
}

// runAgent serves an ssh agent with keys on a socket.
func runAgent(t *testing.T, keys ...agent.AddedKey) (socket string) {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(k); err != nil {
			t.Fatal(err)
		}
	}
	return listenAgent(t, func(conn net.Conn) { agent.ServeAgent(ring, conn) })
}

// listenAgent is the socket of an agent that serves each connection so.
func listenAgent(t *testing.T, serve func(net.Conn)) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				serve(conn)
				conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
		os.RemoveAll(dir)
	})
	return socket
}

func rawKey(t *testing.T, file string) any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCertificatesLogIn(t *testing.T) {
	for _, tc := range []struct {
		name  string
		setUp func(t *testing.T, sc *scene, c *Client, cert *ssh.Certificate)
	}{
		{"beside the key file", func(t *testing.T, sc *scene, c *Client, cert *ssh.Certificate) {
			writeCertificate(t, sc.key+"-cert.pub", cert)
		}},
		{"CertificateFile", func(t *testing.T, sc *scene, c *Client, cert *ssh.Certificate) {
			writeCertificate(t, filepath.Join(sc.dir, "mine.pub"), cert)
			configure(t, c, "IdentityFile "+sc.key, "CertificateFile "+sc.dir+"/mine.pub", "UserKnownHostsFile "+sc.knownHosts)
		}},
		{"CertificateFile of a key in the agent", func(t *testing.T, sc *scene, c *Client, cert *ssh.Certificate) {
			writeCertificate(t, filepath.Join(sc.dir, "mine.pub"), cert)
			socket := runAgent(t, agent.AddedKey{PrivateKey: rawKey(t, sc.key)})
			configure(t, c, "IdentityAgent "+socket, "IdentityFile none", "CertificateFile "+sc.dir+"/mine.pub", "UserKnownHostsFile "+sc.knownHosts)
		}},
		{"in the agent", func(t *testing.T, sc *scene, c *Client, cert *ssh.Certificate) {
			socket := runAgent(t, agent.AddedKey{PrivateKey: rawKey(t, sc.key), Certificate: cert})
			configure(t, c, "IdentityAgent "+socket, "IdentityFile none", "UserKnownHostsFile "+sc.knownHosts)
		}},
		{"in the agent, named by IdentitiesOnly", func(t *testing.T, sc *scene, c *Client, cert *ssh.Certificate) {
			writeCertificate(t, filepath.Join(sc.dir, "mine.pub"), cert)
			socket := runAgent(t, agent.AddedKey{PrivateKey: rawKey(t, sc.key), Certificate: cert})
			configure(t, c, "IdentityAgent "+socket, "IdentitiesOnly yes", "IdentityFile none", "CertificateFile "+sc.dir+"/mine.pub", "UserKnownHostsFile "+sc.knownHosts)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			authority := sc.trusting(t)
			c := sc.client(t)
			tc.setUp(t, sc, c, certify(t, authority, publicOf(t, sc.key), nil))
			start(t, c)
			if err := ping(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCertificateThatDoesNotLogInIsDescribed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(c *ssh.Certificate)
		want   string
	}{
		{"expired", func(c *ssh.Certificate) { c.ValidBefore = 1700000000 }, "certificate of ed25519 SHA256:KEY (expired 2023-11-14 22:13:20 UTC) from "},
		{"early", func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 4102444800, ssh.CertTimeInfinity }, "(valid from 2100-01-01 00:00:00 UTC)"},
		{"a host's", func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, "id_ed25519-cert.pub is not a user certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			authority := sc.trusting(t)
			c := sc.client(t)
			key := publicOf(t, sc.key)
			writeCertificate(t, sc.key+"-cert.pub", certify(t, authority, key, tc.change))
			want := strings.ReplaceAll(tc.want, "SHA256:KEY", ssh.FingerprintSHA256(key))
			if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q in it", err, want)
			}
		})
	}
}

func TestCertificatesAreOfferedBeforeKeys(t *testing.T) {
	sc := newScene(t)
	other := filepath.Join(sc.dir, "other")
	writeKey(t, other, "")
	cert := certify(t, newKey(t), publicOf(t, sc.key), nil)
	writeCertificate(t, sc.key+"-cert.pub", cert)
	var ring keyring
	o := ring.offer(t.Context(), &host{IdentityFiles: []string{other, sc.key}}, nil, new(atomic.Int32))
	defer o.Close()
	var got []ssh.PublicKey
	for _, s := range o.signers {
		got = append(got, s.PublicKey())
	}
	if want := []ssh.PublicKey{cert, publicOf(t, other), publicOf(t, sc.key)}; !reflect.DeepEqual(marshalled(got), marshalled(want)) {
		t.Errorf("offered %v, want certificate, other, key", o.from)
	}
}

func marshalled(keys []ssh.PublicKey) (blobs [][]byte) {
	for _, k := range keys {
		blobs = append(blobs, k.Marshal())
	}
	return blobs
}

func TestAgentKeysThatAreNamedGoFirstOrAlone(t *testing.T) {
	dir := t.TempDir()
	named, file, stranger := filepath.Join(dir, "named"), filepath.Join(dir, "file"), filepath.Join(dir, "stranger")
	for _, name := range []string{named, file, stranger} {
		writeKey(t, name, "")
	}
	socket := runAgent(t, agent.AddedKey{PrivateKey: rawKey(t, stranger)}, agent.AddedKey{PrivateKey: rawKey(t, named)})
	for only, want := range map[bool][]string{
		false: {named + " in agent", stranger + " in agent", file},
		true:  {named + " in agent", file},
	} {
		var ring keyring
		o := ring.offer(t.Context(), &host{IdentityAgent: socket, IdentityFiles: []string{file, named}, IdentitiesOnly: only}, nil, new(atomic.Int32))
		o.Close()
		var got []string
		for i, s := range o.signers {
			for _, name := range []string{named, file, stranger} {
				switch {
				case !sameKey(s.PublicKey(), publicOf(t, name)):
				case strings.HasSuffix(o.from[i], " from agent"):
					got = append(got, name+" in agent")
				default:
					got = append(got, name)
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("IdentitiesOnly %v: offered %v, want %v", only, got, want)
		}
	}
}
