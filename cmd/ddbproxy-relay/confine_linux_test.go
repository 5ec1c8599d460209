package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// attempts are what a confined process tries; each has to be refused by the kernel.
var attempts = map[string]func(dir, other string) error{
	"write a file":            func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, "x"), nil, 0o600) },
	"write to one there is":   func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, "there"), []byte("x"), 0o600) },
	"remove a file":           func(dir, _ string) error { return os.Remove(filepath.Join(dir, "there")) },
	"run a program":           func(string, string) error { return exec.Command("/bin/true").Run() },
	"listen":                  func(string, string) error { return listen("127.0.0.1:0") },
	"connect to port 22, say": func(_, other string) error { _, err := net.Dial("tcp", other); return err },
}

func listen(addr string) error {
	l, err := net.Listen("tcp4", addr)
	if err == nil {
		l.Close()
	}
	return err
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("DDBPROXY_TEST_CONFINED"); dir != "" {
		os.Exit(confined(dir, os.Getenv("DDBPROXY_TEST_OTHER")))
	}
	os.Exit(m.Run())
}

// confined is what this test's own program does when it is confined: it prints what
// it could do.
func confined(dir, other string) int {
	if err := confine(); err != nil {
		println("confine:", err.Error())
		return 1
	}
	for name, try := range attempts {
		if err := try(dir, other); err == nil {
			println("it can", name)
		}
	}
	if _, err := os.ReadFile(filepath.Join(dir, "there")); err != nil {
		println("it cannot read:", err.Error())
	}
	// Port 443 is not among what is refused, whoever listens there.
	if _, err := net.Dial("tcp", "127.0.0.1:443"); err != nil && strings.Contains(err.Error(), "permission denied") {
		println("it cannot connect to port 443")
	}
	return 0
}

func TestKernelRefusesWhatARelayNeverDoes(t *testing.T) {
	t.Setenv("GODEBUG", "multipathtcp=0") // which Landlock does not know
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || version < 4 {
		t.Skipf("this kernel has no Landlock for files and TCP (version %d, %v)", version, errno)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, try := range attempts { // without it all of them work
		if err := try(dir, l.Addr().String()); err != nil {
			t.Errorf("unconfined: %s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "DDBPROXY_TEST_CONFINED="+dir, "DDBPROXY_TEST_OTHER="+l.Addr().String())
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("confined: %v, %s", err, said)
	}
}
