package tunnel

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/bastion"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

func write(t *testing.T, file, content string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// hostCertificate makes the bastion show a certificate of an authority beside
// its key. The authority is an RSA key, so that its kind is not the host's.
func (sc *scene) hostCertificate(t *testing.T, change func(*ssh.Certificate)) (authority ssh.Signer) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if authority, err = ssh.NewSignerFromKey(private); err != nil {
		t.Fatal(err)
	}
	cert := certify(t, authority, sc.bastion.HostKey.PublicKey(), func(c *ssh.Certificate) {
		c.CertType, c.ValidPrincipals = ssh.HostCert, []string{"127.0.0.1", "ali"}
		if change != nil {
			change(c)
		}
	})
	signer, err := ssh.NewCertSigner(cert, sc.bastion.HostKey)
	if err != nil {
		t.Fatal(err)
	}
	sc.renew(t, func(c *ssh.ServerConfig) { c.AddHostKey(signer) })
	return authority
}

func line(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

func TestHostKeysThatAreTrusted(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config func(t *testing.T, sc *scene) string
	}{
		{"hashed name", func(t *testing.T, sc *scene) string {
			write(t, sc.knownHosts, xknownhosts.Line([]string{xknownhosts.HashHostname(xknownhosts.Normalize(sc.addr))}, sc.bastion.HostKey.PublicKey())+"\n")
			return ""
		}},
		{"alias, without a port", func(t *testing.T, sc *scene) string {
			write(t, sc.knownHosts, "ali "+line(sc.bastion.HostKey.PublicKey()))
			return "HostKeyAlias ali"
		}},
		{"the second of quoted files", func(t *testing.T, sc *scene) string {
			write(t, filepath.Join(sc.dir, "known here"), "* "+line(sc.bastion.HostKey.PublicKey()))
			return `UserKnownHostsFile /nowhere "` + sc.dir + `/known here"`
		}},
		{"global file", func(t *testing.T, sc *scene) string {
			return "UserKnownHostsFile none\nGlobalKnownHostsFile " + sc.knownHosts
		}},
		{"authority", func(t *testing.T, sc *scene) string {
			authority := sc.hostCertificate(t, nil)
			write(t, sc.knownHosts, "@cert-authority * "+line(authority.PublicKey()))
			return ""
		}},
		{"authority of an alias", func(t *testing.T, sc *scene) string {
			authority := sc.hostCertificate(t, nil)
			write(t, sc.knownHosts, "@cert-authority ali "+line(authority.PublicKey()))
			return "HostKeyAlias ali"
		}},
		{"a plain key of a host that has a certificate too", func(t *testing.T, sc *scene) string {
			sc.hostCertificate(t, nil)
			return ""
		}},
		{"address of the same key", func(t *testing.T, sc *scene) string { return "CheckHostIP yes" }},
		{"a list of other revoked keys", func(t *testing.T, sc *scene) string {
			return "RevokedHostKeys " + write(t, filepath.Join(sc.dir, "revoked"), "# gone\n\n"+line(newKey(t).PublicKey()))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			config := tc.config(t, sc)
			c := sc.client(t)
			configure(t, c, config, "StrictHostKeyChecking yes", "IdentityFile "+sc.key, "UserKnownHostsFile "+sc.knownHosts)
			start(t, c)
		})
	}
}

func TestHostKeysThatAreNotTrusted(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config func(t *testing.T, sc *scene) string
		kind   Kind
		want   string
	}{
		{"certificate of another name", func(t *testing.T, sc *scene) string {
			authority := sc.hostCertificate(t, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"other"} })
			write(t, sc.knownHosts, "@cert-authority * "+line(authority.PublicKey()))
			return ""
		}, KindHostKey, `principal "127.0.0.1" not in the set of valid principals`},
		{"certificate that is over", func(t *testing.T, sc *scene) string {
			authority := sc.hostCertificate(t, func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Unix() - 60) })
			write(t, sc.knownHosts, "@cert-authority * "+line(authority.PublicKey()))
			return ""
		}, KindHostKey, "expired"},
		{"authority that is revoked", func(t *testing.T, sc *scene) string {
			authority := sc.hostCertificate(t, nil)
			write(t, sc.knownHosts, "@cert-authority * "+line(authority.PublicKey()))
			return "RevokedHostKeys " + write(t, filepath.Join(sc.dir, "revoked"), line(authority.PublicKey()))
		}, KindHostKey, "is revoked by "},
		{"key that is revoked", func(t *testing.T, sc *scene) string {
			return "RevokedHostKeys " + write(t, filepath.Join(sc.dir, "revoked"), line(sc.bastion.HostKey.PublicKey()))
		}, KindHostKey, "is revoked by "},
		{"no list of revoked keys", func(t *testing.T, sc *scene) string { return "RevokedHostKeys " + sc.dir + "/absent" },
			KindConfig, "RevokedHostKeys: open "},
		{"a binary list of revoked keys that is cut short", func(t *testing.T, sc *scene) string {
			return "RevokedHostKeys " + write(t, filepath.Join(sc.dir, "krl"), "SSHKRL\n\x00\x00")
		}, KindConfig, "is a key revocation list that is cut short or damaged; fix it"},
		{"known by another kind of key", func(t *testing.T, sc *scene) string {
			authority := sc.hostCertificate(t, nil) // any RSA key
			write(t, sc.knownHosts, xknownhosts.Normalize(sc.addr)+" "+line(authority.PublicKey()))
			return ""
		}, KindHostKey, "HOST KEY CHANGED"},
		{"address of another key", func(t *testing.T, sc *scene) string {
			_, port, _ := net.SplitHostPort(sc.addr)
			write(t, sc.knownHosts, "[localhost]:"+port+" "+line(sc.bastion.HostKey.PublicKey())+"[127.0.0.1]:"+port+" "+line(newKey(t).PublicKey()))
			return "CheckHostIP yes\nHostName localhost\nAddressFamily inet"
		}, KindHostKey, "HOST KEY OF ITS ADDRESS DIFFERS"},
		{"no algorithm in common", func(t *testing.T, sc *scene) string { return "HostKeyAlgorithms rsa-sha2-512" },
			KindUnreachable, "insecure ones are used only where they are named"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			config := tc.config(t, sc)
			c := sc.client(t)
			configure(t, c, config, "IdentityFile "+sc.key, "UserKnownHostsFile "+sc.knownHosts)
			err := c.Start(t.Context())
			c.Close()
			var e *Error
			if !errors.As(err, &e) || e.Kind != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q of kind %d", err, tc.want, tc.kind)
			}
		})
	}
}

func TestKnownKeysGoFirst(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	known := write(t, filepath.Join(t.TempDir(), "known_hosts"), "box "+line(key.PublicKey()))
	h := &host{HostName: "box", Port: "22", UserKnownHosts: []string{known}}
	h.Algorithms.HostKeys = []string{ssh.CertAlgoED25519v01, ssh.KeyAlgoED25519, ssh.KeyAlgoRSASHA512}
	keys, err := newHostKeys(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := keys.algorithms(), []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoED25519}; !slices.Equal(got, want) {
		t.Errorf("algorithms = %v, want %v", got, want)
	}
}

func TestHashedNamesAreRemembered(t *testing.T) {
	sc := newScene(t)
	os.Remove(sc.knownHosts)
	c := sc.client(t)
	config := []string{"HashKnownHosts yes", "StrictHostKeyChecking accept-new", "IdentityFile " + sc.key, "UserKnownHostsFile " + sc.knownHosts}
	configure(t, c, config...)
	start(t, c)
	written, err := os.ReadFile(sc.knownHosts)
	if err != nil || !strings.HasPrefix(string(written), "|1|") {
		t.Errorf("known_hosts = %q, %v, want a hashed name", written, err)
	}
	addr := sc.addr
	sc.bastion.Disconnect()
	impostor := &bastion.Server{HostKey: newKey(t), Authorized: sc.bastion.Authorized}
	t.Cleanup(func() { impostor.Close() })
	sc.bastion = impostor
	sc.serve(t, addr)
	var e *Error
	if err := sc.again(t, config).Start(t.Context()); !errors.As(err, &e) || e.Kind != KindHostKey {
		t.Errorf("with another key: %v, want one about the host key", err)
	}
}

// again is another client of the same laptop.
func (sc *scene) again(t *testing.T, config []string) *Client {
	c := sc.client(t)
	configure(t, c, config...)
	return c
}

// A name with a meaning of its own would trust the key for other hosts, or
// make the file unreadable.
func TestHostKeyIsNotRememberedUnderAPattern(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	for _, alias := range []string{"*", "a b", "!x", "a,b", "#", "@revoked", "|1|x"} {
		k := &hostKeys{host: &host{HostKeyAlias: alias, HostName: "h", Port: "22", UserKnownHosts: []string{file}}}
		if err := k.remember(newKey(t).PublicKey()); err == nil {
			t.Errorf("a key was remembered under %q", alias)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("something was written")
	}
}

func TestHostKeyAliasMayHaveAPort(t *testing.T) {
	t.Parallel()
	for alias, want := range map[string]string{"": "h:2222", "ali": "ali:22", "[ali]:2200": "[ali]:2200", "::1": "[::1]:22"} {
		k := &hostKeys{host: &host{HostKeyAlias: alias, HostName: "h", Port: "2222"}}
		if got := k.lookupName(); got != want {
			t.Errorf("alias %q is looked up as %q, want %q", alias, got, want)
		}
	}
}
