//go:build linux

package aws

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

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

// logIn has a developer ask for a shell, and get the relay, which has read its file:
// it greets before anything else (tunnel/relay, hello.go).
func (m *machine) logIn(t *testing.T) {
	t.Helper()
	port := freePort(t)
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

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
