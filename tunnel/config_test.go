package tunnel

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// The same configuration means the same with OpenSSH and without.
func TestBothResolversAgree(t *testing.T) {
	dir := t.TempDir()
	spaced := filepath.Join(dir, "known hosts")
	included := filepath.Join(dir, "included")
	for name, content := range map[string]string{spaced: "", included: "Port 2201\nHost other\nUser stranger\nHost b*\nPort 2202\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name, config, destination string
		want                      func(h *host)
	}{
		{"nothing", "", "me@box", func(h *host) {}},
		{"user and port of the destination win", "Host box\nUser other\nPort 99\n", "me@box:2222", func(h *host) { h.Port = "2222" }},
		{"the first value counts", "Host box\nPort 2200\nHost *\nPort 2299\nUser me\n", "box", func(h *host) { h.Port = "2200" }},
		{"patterns", "Host b?x !box.example *.example\nPort 1\nHost !b* *\nPort 2\nHost *ox\nPort 3\n", "me@bax", func(h *host) {
			h.Alias, h.HostName = "bax", "bax"
			h.Port = "1"
		}},
		{"a negated pattern", "Host * !box\nPort 1\n", "me@box", func(h *host) {}},
		{"signs, quotes, tabs and comments", "# all\nhost=\"box\" # mine\n\tHOSTNAME = \"%h.example\"\n  port\t2200 # high\n", "me@box", func(h *host) {
			h.HostName, h.Port = "box.example", "2200"
		}},
		{"identity files with tokens", "IdentityFile /keys/%r@%h-%p-%n\nIdentityFile \"/my keys/100%%\"\nIdentitiesOnly yes\nHostName real\n", "me@box", func(h *host) {
			h.HostName, h.IdentitiesOnly = "real", true
			h.IdentityFiles = []string{"/keys/me@real-22-box", "/my keys/100%", "/keys/default"}
		}},
		{"all tokens of file names", "IdentityFile /k/%C-%d-%i-%k-%L-%l-%n-%u\nCertificateFile /c/%C\nIdentityAgent /a/%C\nUserKnownHostsFile /known/%C /known/%k\nHostName real\n", "me@box:99", func(h *host) {
			machine, _ := os.Hostname()
			short, _, _ := strings.Cut(machine, ".")
			home, _ := os.UserHomeDir()
			hash := fmt.Sprintf("%x", sha1.Sum([]byte(machine+"real"+"99"+"me")))
			h.HostName, h.Port = "real", "99"
			h.IdentityFiles = []string{fmt.Sprintf("/k/%s-%s-%d-box-%s-%s-box-%s", hash, home, os.Getuid(), short, machine, userName(t)), "/keys/default"}
			h.CertificateFiles, h.IdentityAgent = []string{"/c/" + hash}, "/a/"+hash
			h.UserKnownHosts = []string{"/known/" + hash, "/known/box"}
		}},
		{"tokens of jumps", "ProxyJump %r@jump-%h,%n\nHostName real\n", "me@box", func(h *host) {
			h.HostName, h.ProxyJump = "real", "me@jump-real,box"
		}},
		{"variables of file names", "IdentityFile ${OTHER_AGENT}/id\nUserKnownHostsFile ${OTHER_AGENT}/known\nIdentityAgent ${OTHER_AGENT}/agent\n", "me@box", func(h *host) {
			h.IdentityFiles = []string{"/run/other/id", "/keys/default"}
			h.UserKnownHosts, h.IdentityAgent = []string{"/run/other/known"}, "/run/other/agent"
		}},
		{"the agent of the environment", "IdentityAgent SSH_AUTH_SOCK\n", "me@box", func(h *host) {}},
		{"ways of strictness", "StrictHostKeyChecking yes\nBindInterface lo\nAddressFamily inet\n", "me@box", func(h *host) {
			h.StrictHostKey, h.BindInterface, h.AddressFamily = "yes", "lo", "tcp4"
		}},
		{"certificates", "CertificateFile /keys/a-cert.pub\nCertificateFile /keys/b-cert.pub\n", "me@box", func(h *host) {
			h.CertificateFiles = []string{"/keys/a-cert.pub", "/keys/b-cert.pub"}
		}},
		{"agent by name", "IdentityAgent /run/%u.sock\n", "me@box", func(h *host) { h.IdentityAgent = h.expand("/run/%u.sock") }},
		{"no agent", "IdentityAgent none\n", "me@box", func(h *host) { h.IdentityAgent = "" }},
		{"agent of a variable", "IdentityAgent $OTHER_AGENT\n", "me@box", func(h *host) { h.IdentityAgent = "/run/other" }},
		{"known hosts", "UserKnownHostsFile \"" + spaced + "\" /known/%k\nGlobalKnownHostsFile none\nHostKeyAlias ali\nHashKnownHosts yes\nCheckHostIP yes\nStrictHostKeyChecking accept-new\n", "me@box", func(h *host) {
			h.UserKnownHosts, h.GlobalKnownHosts = []string{spaced, "/known/ali"}, []string{}
			h.HostKeyAlias, h.HashKnownHosts, h.CheckHostIP, h.StrictHostKey = "ali", true, true, "accept-new"
		}},
		{"revoked", "RevokedHostKeys /etc/revoked\nStrictHostKeyChecking off\n", "me@box", func(h *host) { h.RevokedHostKeys, h.StrictHostKey = "/etc/revoked", "no" }},
		{"jumps", "ProxyJump a@one,two:2200\nProxyCommand nc %h %p\n", "me@box", func(h *host) { h.ProxyJump = "a@one,two:2200" }},
		{"a command, as it stands", "ProxyCommand nc -x \"a  b\" %h %p # not a comment\nProxyJump one\n", "me@box", func(h *host) {
			h.ProxyCommand = `nc -x "a  b" %h %p # not a comment`
		}},
		{"no jump for one", "Host box\nProxyJump none\nHost *\nProxyJump one\n", "me@box", func(h *host) {}},
		{"times and ways", "ConnectTimeout 1m30s\nServerAliveInterval 2\nServerAliveCountMax 1\nAddressFamily inet6\nBindAddress ::1\n", "me@box", func(h *host) {
			h.ConnectTimeout, h.AliveInterval, h.AliveCountMax = 90*time.Second, 2*time.Second, 1
			h.AddressFamily, h.BindAddress = "tcp6", "::1"
		}},
		{"login", "PreferredAuthentications password,publickey,keyboard-interactive\nKbdInteractiveAuthentication no\nNumberOfPasswordPrompts 1\nLogLevel QUIET\n", "me@box", func(h *host) {
			h.Methods, h.PasswordPrompts, h.Quiet = []string{"password", "publickey"}, 1, true
		}},
		{"keys only", "PasswordAuthentication no\nKbdInteractiveAuthentication no\nGSSAPIAuthentication yes\n", "me@box", func(h *host) {
			h.Methods, h.Unsupported = []string{"publickey"}, []string{"gssapi-with-mic"}
		}},
		{"batch", "BatchMode yes\nServerAliveInterval 60\nPubkeyAuthentication no\n", "me@box", func(h *host) {
			h.BatchMode, h.AliveInterval = true, time.Minute
			h.Methods = []string{"keyboard-interactive", "password"}
		}},
		{"algorithms", "Ciphers aes256-ctr,aes128-cbc\nKexAlgorithms curve25519-sha256@libssh.org,sntrup761x25519-sha512@openssh.com\nMACs umac-64@openssh.com,hmac-sha2-512\nHostKeyAlgorithms rsa-sha2-512,ssh-rsa\nPubkeyAcceptedAlgorithms ssh-ed25519,ssh-rsa\n", "me@box", func(h *host) {
			h.Algorithms = algorithms{
				Ciphers:      []string{ssh.CipherAES256CTR, ssh.InsecureCipherAES128CBC},
				KeyExchanges: []string{ssh.KeyExchangeCurve25519},
				MACs:         []string{ssh.HMACSHA512},
				HostKeys:     []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSA},
				PublicKeys:   []string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSA},
			}
		}},
		{"what is not honoured", "PKCS11Provider /lib/p.so\nKnownHostsCommand /bin/known %H\nVerifyHostKeyDNS ask\nTunnel yes\nSecurityKeyProvider /lib/sk.so\nControlMaster auto\nControlPath /run/%C\nForwardAgent yes\n", "me@box", func(h *host) {
			h.Warnings = []string{"PKCS11Provider", "SecurityKeyProvider", "KnownHostsCommand", "VerifyHostKeyDNS", "Tunnel"}
		}},
		{"a file included", "Include " + included + "\nHost box\nPort 9\n", "me@box", func(h *host) { h.Port = "2201" }},
		{"a file included for another", "Host nobody\nInclude " + included + "\nHost box\nPort 9\n", "me@box", func(h *host) { h.Port = "9" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("SSH_AUTH_SOCK", "/run/agent")
			t.Setenv("OTHER_AGENT", "/run/other")
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, []byte(tc.config+"\nHost *\nIdentityFile /keys/default\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			known := []string{expandHome("~/.ssh/known_hosts"), expandHome("~/.ssh/known_hosts2")}
			want := &host{
				Alias: "box", HostName: "box", User: "me", Port: "22", AddressFamily: "tcp", StrictHostKey: "ask",
				IdentityFiles: []string{"/keys/default"}, IdentityAgent: "/run/agent",
				UserKnownHosts: known, GlobalKnownHosts: []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"},
				Methods: []string{"publickey", "keyboard-interactive", "password"}, PasswordPrompts: 3, AliveCountMax: 3,
			}
			tc.want(want)
			for _, builtin := range []bool{true, false} {
				if _, err := exec.LookPath("ssh"); err != nil && !builtin {
					t.Log("no ssh here to compare with")
					continue
				}
				got, err := lookup{configFile: file, builtin: builtin}.resolve(t.Context(), tc.destination)
				if err != nil {
					t.Errorf("built in %v: %v", builtin, err)
					continue
				}
				if !reflect.DeepEqual(normal(got), normal(want)) {
					t.Errorf("built in %v:\n got %+v\nwant %+v", builtin, *got, *want)
				}
			}
		})
	}
}

func userName(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// normal makes empty lists nil, and leaves out what only OpenSSH tells.
func normal(h *host) host {
	n := *h
	n.hash = ""
	for _, list := range []*[]string{&n.CertificateFiles, &n.GlobalKnownHosts, &n.UserKnownHosts} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return n
}

func TestConfigurationThatIsRefused(t *testing.T) {
	for _, tc := range []struct{ name, config, want string }{
		{"Match", "Host box\nMatch exec true\n", "config:2: match: only OpenSSH can evaluate that"},
		{"open quote", "IdentityFile \"/a b\n", "config:1: identityfile: a quote without its end"},
		{"no value", "Port\n", "config:1: port: no value"},
		{"a circle", "Include CONFIG\n", "more than 16 levels of Include"},
		{"no cipher", "Ciphers aes128-ctr@nowhere\n", "Ciphers allows none that ddbproxy has: configured aes128-ctr@nowhere; there are aes128-gcm@openssh.com"},
		{"time", "ConnectTimeout soon\n", `connecttimeout: "soon" is not a time`},
		{"a socket handed over", "ProxyCommand nc %h %p\nProxyUseFdpass yes\n", "ProxyUseFdpass hands over a socket"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(tc.config, "CONFIG", file)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := lookup{configFile: file, builtin: true}.resolve(t.Context(), "box")
			var e *Error
			if !errors.As(err, &e) || e.Kind != KindConfig || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q of kind config", err, tc.want)
			}
		})
	}
}

func TestKeepalivesAreShortenedOnly(t *testing.T) {
	t.Parallel()
	type times struct{ after, wait time.Duration }
	for interval, want := range map[time.Duration]times{
		0:               {5 * time.Second, 8 * time.Second},
		time.Minute:     {5 * time.Second, 8 * time.Second},
		2 * time.Second: {2 * time.Second, 6 * time.Second},
	} {
		after, wait := (&host{AliveInterval: interval, AliveCountMax: 3}).aliveTimes()
		if got := (times{after, wait}); got != want {
			t.Errorf("ServerAliveInterval %v: %v, want %v", interval, got, want)
		}
	}
}

// No output of ssh -G, whatever its version prints, is more than an error.
func FuzzParseG(f *testing.F) {
	f.Add("user dev\nhostname b\nport 22\nciphers aes128-ctr\nuserknownhostsfile /a b /c\nconnecttimeout none\n")
	f.Add("serveraliveinterval 99999999999999999999\n")
	f.Fuzz(func(t *testing.T, said string) {
		o := parseG(said)
		o.dropDefaults(parseG("ciphers aes128-ctr\n"))
		h, err := o.host("b")
		if err == nil && (h.ConnectTimeout < 0 || h.AliveInterval < 0) {
			t.Errorf("%q came to a negative time: %+v", said, h)
		}
	})
}

// What is split and quoted again is the same.
func FuzzSplitArguments(f *testing.F) {
	f.Add(`a "b c" 'd' e\ f # g`)
	f.Fuzz(func(t *testing.T, line string) {
		args, err := splitArguments(line)
		if err != nil {
			return
		}
		var quoted []string
		for _, a := range args {
			quoted = append(quoted, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a)+`"`)
		}
		again, err := splitArguments(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(again, args) {
			t.Errorf("%q: %q, then %q, %v", line, args, again, err)
		}
	})
}
