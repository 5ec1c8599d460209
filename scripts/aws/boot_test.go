//go:build linux

package aws

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// bootScript is the bastion's user data.
func bootScript(t *testing.T, o options) string {
	t.Helper()
	made, _ := cloudFormation(t, o)
	for _, r := range made {
		if r.kind == "AWS::EC2::Instance" {
			return r.text("UserData")
		}
	}
	t.Fatal("there is no bastion")
	return ""
}

func TestBootScriptIsAsShellcheckLikesIt(t *testing.T) {
	for _, o := range []options{{relay: relayURL}, {relay: relayURL, link: "dynamodb"}} {
		name := filepath.Join(t.TempDir(), "boot.sh")
		script := bootScript(t, o)
		if len(script) > 12<<10 { // 16 KB once it is in base64
			t.Errorf("%d bytes of user data are too many", len(script))
		}
		if err := os.WriteFile(name, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program(t, "shellcheck"), name).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if script := bootScript(t, options{}); script != "" {
		t.Errorf("without a relay to install there is a script:\n%s", script)
	}
}

// The parameters stand in the script between single quotes.
func TestRelayURLHasNothingToQuote(t *testing.T) {
	text, err := os.ReadFile("ddbproxy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Parameters map[string]struct {
			AllowedPattern string `yaml:"AllowedPattern"`
		} `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	variables, err := os.ReadFile("terraform/variables.tf")
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]map[string]bool{
		"RelayUrl":    {relayURL: true, relayURL + "&id=$HOME": true, "": true, "http://example.com/relay": false, "https://a/'; id; '": false, "https://a/\nid": false, "https://a/`id`": false, "https://a/ b": false},
		"RelaySha256": {relaySum: true, "": true, strings.ToUpper(relaySum): false, relaySum + "'": false},
	} {
		pattern := document.Parameters[name].AllowedPattern
		if pattern == "" || !strings.Contains(string(variables), `regex("^`+pattern+`$"`) {
			t.Errorf("the pattern of %s is %q, and not the module's", name, pattern)
		}
		for value, want := range values {
			if got := regexp.MustCompile(`\A(?:` + pattern + `)\z`).MatchString(value); got != want {
				t.Errorf("%s %q: %v, want %v", name, value, got, want)
			}
		}
	}
}

// A machine is a copy of this one, in which the script is run: what it writes stays
// in changed, and nothing of it here.
type machine struct {
	changed, work, root, syslog string
}

// newMachine needs root for the copy, which is an overlay.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		lacks(t, "only root can mount a copy of this machine")
	}
	for _, name := range []string{"unshare", "curl", "ssh", "ssh-keygen"} {
		program(t, name)
	}
	dir, err := os.MkdirTemp("", "ddbproxy-boot-") // the test's own name may have commas, which overlays do not take
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &machine{filepath.Join(dir, "changed"), filepath.Join(dir, "work"), filepath.Join(dir, "root"), filepath.Join(dir, "syslog")}
	// A running sshd has the last.
	for _, d := range []string{m.changed, m.work, m.root, filepath.Join(m.changed, "run/sshd")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The relay makes no connection without a syslog.
	syslog, err := net.ListenPacket("unixgram", m.syslog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syslog.Close() })
	if err := os.Chmod(m.syslog, 0o666); err != nil {
		t.Fatal(err)
	}
	// The machine's init is not there, and rpm is not Debian's.
	m.write(t, "usr/local/bin/systemctl", "#!/bin/sh\necho \"$*\" >>/root/systemctl\n", 0o755)
	m.write(t, "usr/local/bin/rpm", "#!/bin/sh\necho \"$1 $2\" >/root/rpm\nexec install -m 0755 \"$3\" /usr/bin/ddbproxy-relay\n", 0o755)
	return m
}

func (m *machine) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	name = filepath.Join(m.changed, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// read is a file that was written there; "" if it was not.
func (m *machine) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(m.changed, name))
	return string(text)
}

// run runs a script there, as root.
func (m *machine) run(t *testing.T, script string, env ...string) (string, error) {
	t.Helper()
	m.write(t, "root/run.sh", script, 0o700)
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", `
		mount -t overlay overlay -o "lowerdir=/,upperdir=$1,workdir=$2" "$3"
		mount -t proc proc "$3/proc"
		mount -t tmpfs tmpfs "$3/dev"
		for node in "null 3" "zero 5" "random 8" "urandom 9"; do mknod -m 666 "$3/dev/${node% *}" c 1 "${node#* }"; done
		touch "$3/dev/log"
		mount --bind "$4" "$3/dev/log"
		exec chroot "$3" /bin/sh /root/run.sh`, "sh", m.changed, m.work, m.root, m.syslog)
	cmd.Env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// relayFiles are the relay as a release has it: the program, and an archive with it.
func relayFiles(t *testing.T) map[string][]byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ddbproxy-relay")
	build := exec.Command("go", "build", "-o", name, "../../cmd/ddbproxy-relay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	archive := tar.NewWriter(z)
	if err := archive.WriteHeader(&tar.Header{Name: "ddbproxy-relay_1.0.0_linux_arm64/ddbproxy-relay", Mode: 0o755, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"/ddbproxy-relay": data, "/relay.tar.gz": packed.Bytes(), "/relay.rpm": data}
}

// The script is run on a copy of this machine, with its sshd and useradd, and then
// a developer logs in.
func TestBootMakesABastionThatStartsTheRelayOnly(t *testing.T) {
	files := relayFiles(t)
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}))
	defer web.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	for _, tt := range []struct {
		name, file string
		link       bool
		wrong      bool // the SHA-256 is another file's
	}{
		{"a program", "/ddbproxy-relay", false, false},
		{"an archive", "/relay.tar.gz", true, false},
		{"a package, by a signed URL", "/relay.rpm?X-Amz-Expires=600&id=$HOME", false, false},
		{"another file", "/ddbproxy-relay", false, true},
		{"no file", "/none", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.write(t, "root/ca.pem", string(authority), 0o644)
			path, _, _ := strings.Cut(tt.file, "?")
			sum := sha256.Sum256(files[path])
			if tt.wrong {
				sum = sha256.Sum256(nil)
			}
			o := options{relay: web.URL + tt.file}
			want := []string{"--region", region}
			if tt.link {
				o.link = "dynamodb"
				want = append(want, "--vpce", link)
			}
			script := strings.Replace(bootScript(t, o), relaySum, hex.EncodeToString(sum[:]), 1)
			out, err := m.run(t, strings.Replace(script, "--retry 5 --retry-all-errors", "", 1), "CURL_CA_BUNDLE=/root/ca.pem")

			// Whatever comes of the relay, the account is shut.
			printed := exec.Command("go", append([]string{"run", "../../cmd/ddbproxy", "bastion", "sshd-config", "--relay", "/usr/bin/ddbproxy-relay"}, want...)...)
			block, failed := printed.Output()
			if failed != nil {
				t.Fatal(failed)
			}
			if got := m.read("etc/ssh/sshd_config.d/00-ddbproxy.conf"); got != string(block) {
				t.Errorf("sshd's settings are\n%s\nnot what ddbproxy prints\n%s", got, block)
			}
			if got := m.read("root/systemctl"); got != "reload sshd\n" {
				t.Errorf("systemctl was asked for %q", got)
			}
			if tt.wrong || files[path] == nil {
				if err == nil || m.read("usr/bin/ddbproxy-relay") != "" {
					t.Errorf("the relay is installed: %v, %s", err, out)
				}
				return
			}
			if err != nil || !strings.Contains(out, "ddbproxy: ddbproxy-relay ") || !strings.HasSuffix(out, " is installed\n") {
				t.Fatalf("the script: %v\n%s", err, out)
			}
			if got := m.read("root/rpm"); (got == "--upgrade --replacepkgs\n") != strings.Contains(path, ".rpm") {
				t.Errorf("rpm was asked for %q", got)
			}
			m.logIn(t)
		})
	}
}

// logIn has a developer ask for a shell, and get the relay, which has read its file:
// it greets before anything else (tunnel/relay, hello.go).
func (m *machine) logIn(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	out, err := m.run(t, fmt.Sprintf(`set -eu
		mkdir ~ddbproxy/.ssh
		ssh-keygen -q -A
		ssh-keygen -q -t ed25519 -N '' -f /root/key
		cat /root/key.pub >~ddbproxy/.ssh/authorized_keys
		chown -R ddbproxy: ~ddbproxy/.ssh
		/usr/sbin/sshd -D -e -p %[1]s 2>/root/sshd.log &
		ask() {
			ssh -F none -i /root/key -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectionAttempts=20 -p %[1]s "$@" ddbproxy@127.0.0.1 "id; echo escaped" </dev/null 2>&1 || true
		}
		echo "asked: $(ask | head -c 400 | tr -cd '[:print:]')"
		echo "with a terminal: $(ask -tt | head -c 400 | tr -cd '[:print:]')"
		echo "account: $(id ddbproxy) $(getent shadow ddbproxy | cut -d: -f2)"
	`, port))
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, m.read("root/sshd.log"))
	}
	for _, line := range []string{`(?m)^asked: ddbproxy-relay 1 `, `(?m)^with a terminal: PTY allocation request failed`, `(?m)^account: uid=\d+\(ddbproxy\) gid=\d+\(ddbproxy\) groups=\d+\(ddbproxy\) !`} {
		if !regexp.MustCompile(line).MatchString(out) {
			t.Errorf("no %s in\n%s\n%s", line, out, m.read("root/sshd.log"))
		}
	}
	if strings.Contains(out, "escaped") || strings.Contains(strings.Split(out, "account:")[0], "uid=") {
		t.Errorf("a command of the developer's was run:\n%s", out)
	}
}
