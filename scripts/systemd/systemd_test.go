// Package systemd has no code: its test holds the unit and sshd's settings here
// against the programs that read them.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// need skips the test where a program is missing, or fails it where all are to be
// there.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("DDBPROXY_TEST_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestUnitIsOneThatSystemdKnows(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	need(t, "/usr/sbin/sshd") // the unit has to name a program that is there
	if said := run(t, analyze, "verify", "./ddbproxy-sshd.service"); said != "" {
		t.Errorf("systemd-analyze verify: %s", said)
	}
}

// 2.5 is what it comes to, of 10; without one of the weightier settings, as with a
// systemd that does not know it by that name, it is 2.7 or more.
func TestUnitConfines(t *testing.T) {
	run(t, need(t, "systemd-analyze"), "security", "--no-pager", "--offline=true", "--threshold=26", "./ddbproxy-sshd.service")
}

func TestSettingsAreSSHDs(t *testing.T) {
	sshd := need(t, "/usr/sbin/sshd")
	key := filepath.Join(t.TempDir(), "key")
	run(t, need(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key)
	said := run(t, sshd, "-T", "-C", "user=nobody,host=laptop,addr=192.0.2.2", "-h", key, "-f", abs(t, "sshd_config"))
	for _, want := range []string{
		"port 2222", "allowgroups ddbproxy", "authorizedkeysfile /etc/ddbproxy/keys/%u", "forcecommand ddbproxy-relay -audit", "disableforwarding yes",
		"permittty no", "permituserrc no", "permituserenvironment no", "authenticationmethods publickey", "exposeauthinfo yes", "usepam no",
	} {
		if !strings.Contains("\n"+said, "\n"+want+"\n") {
			t.Errorf("sshd reads no %q in\n%s", want, said)
		}
	}
}

func abs(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
