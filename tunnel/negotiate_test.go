package tunnel

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// An old bastion's algorithm is used by those who name it, and by nobody else.
func TestOldAlgorithmsHaveToBeNamed(t *testing.T) {
	for _, tc := range []struct {
		option string
		old    func(*ssh.ServerConfig)
	}{
		{"Ciphers +aes128-cbc", func(c *ssh.ServerConfig) { c.Ciphers = []string{ssh.InsecureCipherAES128CBC} }},
		{"KexAlgorithms +diffie-hellman-group14-sha1", func(c *ssh.ServerConfig) { c.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1} }},
		{"MACs ^hmac-sha1-96\nCiphers aes128-ctr", func(c *ssh.ServerConfig) {
			c.MACs, c.Ciphers = []string{ssh.InsecureHMACSHA196}, []string{"aes128-ctr"}
		}},
	} {
		t.Run(strings.Fields(tc.option)[0], func(t *testing.T) {
			sc := newScene(t)
			sc.renew(t, tc.old)
			c := sc.client(t)
			if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "insecure ones are used only where they are named") {
				t.Errorf("not named: %v, want no algorithm in common", err)
			}
			c.Close()
			c = sc.client(t)
			configure(t, c, tc.option, "IdentityFile "+sc.key, "UserKnownHostsFile "+sc.knownHosts)
			start(t, c)
			if err := ping(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConnectionsComeFromTheBoundAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	for option, want := range map[string]string{"BindAddress 127.0.0.2": "127.0.0.2", "BindInterface lo": "127.0.0.1"} {
		sc := newScene(t)
		var mu sync.Mutex
		from := ""
		sc.renew(t, func(c *ssh.ServerConfig) {
			c.AuthLogCallback = func(m ssh.ConnMetadata, _ string, _ error) {
				mu.Lock()
				defer mu.Unlock()
				from, _, _ = net.SplitHostPort(m.RemoteAddr().String())
			}
		})
		c := sc.client(t)
		configure(t, c, option, "IdentityFile "+sc.key, "UserKnownHostsFile "+sc.knownHosts)
		start(t, c)
		mu.Lock()
		if from != want {
			t.Errorf("%s: connected from %s, want %s", option, from, want)
		}
		mu.Unlock()
	}
	c := newScene(t).client(t)
	configure(t, c, "BindInterface none0")
	if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "BindInterface none0: no such network interface") {
		t.Errorf("error %v, want one about the interface", err)
	}
}
