package lab

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// record lets a test end a lab before it ends itself.
type record struct {
	testing.TB
	cleanups []func()
}

func newRecord(t *testing.T) *record {
	r := &record{TB: t}
	t.Cleanup(r.end) // if the test fails before its own
	return r
}

func (r *record) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *record) end() {
	for len(r.cleanups) > 0 {
		f := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		f()
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	before := traces(t)
	r := newRecord(t)
	l := New(r, Config{})
	s := l.SSHD(SSHDOptions{})
	ssh := l.Command(t.Context(), Laptop, "ssh", "bastion", "echo started; setsid sleep 1000 & exec sleep 1000")
	out, err := ssh.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ssh.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("started"))); err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	// A stray that belongs to nobody any more.
	if err := l.Command(t.Context(), Laptop, "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &").Run(); err != nil {
		t.Fatal(err)
	}
	inside := func(pid int) bool {
		for _, m := range l.machines {
			if inNetwork(m.inode)(pid) {
				return true
			}
		}
		return false
	}
	if pids, _ := processes(inside); len(pids) < 4 {
		t.Errorf("%d processes in the lab, want sshd, ssh, and sleeps on both sides", len(pids))
	}
	r.end()
	if err := ssh.Wait(); err == nil {
		t.Error("ssh outlived its bastion")
	}
	if pids, err := processes(inside); len(pids) > 0 || err != nil {
		t.Errorf("processes %v are left, %v", pids, err)
	}
	if after := traces(t); after != before {
		t.Errorf("traces after the lab:\n%s\nbefore:\n%s", after, before)
	}
}

// traces lists what a lab could leave on the host: files, named namespaces,
// devices, mounts, and namespaces that this process keeps open.
func traces(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range []string{
		filepath.Join(os.TempDir(), fmt.Sprintf("ddbproxy-%d-*", os.Getpid())),
		"/etc/netns/*", "/run/netns/*", "/run/sshd", "/sys/class/net/*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, pattern, paths)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for _, fd := range fds {
		target, _ := os.Readlink(fd)
		if strings.HasPrefix(target, "net:") || strings.Contains(target, "tun") || strings.Contains(target, "timerfd") {
			open++
		}
	}
	fmt.Fprintln(&b, string(mounts), open, "open")
	return b.String()
}
