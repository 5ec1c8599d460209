package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every connection to addr on a machine with what it sends, until
// the test ends.
func echo(t testing.TB, l *Lab, ns NS, addr string) {
	t.Helper()
	ln, err := l.Listen(ns, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := []io.Closer{ln}
	t.Cleanup(func() {
		mu.Lock()
		// The lab goes before a FIN gets through, so each side closes its own.
		for _, c := range open {
			c.Close()
		}
		open = nil
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if open == nil {
				c.Close()
			}
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() {
				io.Copy(c, c)
				c.Close()
			})
		}
	})
}

// ask sends one byte and waits for it to come back.
func ask(c net.Conn) error {
	if _, err := c.Write([]byte{'x'}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func dial(t testing.TB, l *Lab, ns NS, addr string) net.Conn {
	t.Helper()
	c, err := l.Dial(t.Context(), ns, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestNamesResolveToTheMachinesOwnAddress(t *testing.T) {
	t.Parallel()
	l := New(t, Config{Names: []string{"sts.eu-west-1.amazonaws.com"}})
	if err := l.AddHost(Laptop, "127.0.0.1", "late.example"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ns         NS
		name, want string
	}{
		{Laptop, "dynamodb.eu-west-1.amazonaws.com", PublicAddr},
		{Bastion, "dynamodb.eu-west-1.amazonaws.com", VPCEndpoint},
		{AWS, "dynamodb.eu-west-1.amazonaws.com", VPCEndpoint},
		{Laptop, "123456789012.ddb.eu-west-1.amazonaws.com", PublicAddr},
		{Bastion, "sts.eu-west-1.amazonaws.com", VPCEndpoint},
		{Laptop, "bastion", BastionAddr},
		{Laptop, "late.example", "127.0.0.1"},
	} {
		out, err := l.Command(t.Context(), tt.ns, "getent", "ahostsv4", tt.name).CombinedOutput()
		if got, _, _ := strings.Cut(string(out), " "); got != tt.want || err != nil {
			t.Errorf("%s: getent %s = %q, %v, want %s", tt.ns, tt.name, out, err, tt.want)
		}
		if got, err := l.Lookup(tt.ns, tt.name); got != tt.want || err != nil {
			t.Errorf("Lookup(%s, %s) = %s, %v, want %s", tt.ns, tt.name, got, err, tt.want)
		}
	}
	var missing *net.DNSError
	if _, err := l.Lookup(Bastion, "late.example"); !errors.As(err, &missing) || !missing.IsNotFound {
		t.Errorf("Lookup of an unknown name: %v, want a DNSError, not found", err)
	}
}

func TestOnlyTheBastionReachesTheVPCEndpoint(t *testing.T) {
	t.Parallel()
	l := New(t, Config{})
	const name = "dynamodb.eu-west-1.amazonaws.com"
	echo(t, l, AWS, VPCEndpoint+":443")
	for _, tt := range []struct {
		ns   NS
		addr string
		want bool
	}{
		{Bastion, name + ":443", true},
		{Bastion, PublicAddr + ":443", false},
		{Laptop, name + ":443", false}, // its public address, where nobody listens
		{Laptop, VPCEndpoint + ":443", false},
	} {
		c, err := l.Dial(t.Context(), tt.ns, "tcp", tt.addr)
		if got := err == nil; got != tt.want {
			t.Errorf("%s to %s: %v, want connected: %t", tt.ns, tt.addr, err, tt.want)
		}
		if err == nil {
			c.Close()
		}
	}
	echo(t, l, AWS, PublicAddr+":443")
	if err := ask(dial(t, l, Laptop, name+":443")); err != nil {
		t.Errorf("laptop to the public address: %v", err)
	}
}

func TestLabsDoNotMeet(t *testing.T) {
	t.Parallel()
	a, b := New(t, Config{}), New(t, Config{})
	echo(t, a, Bastion, ":2200")
	if err := ask(dial(t, a, Laptop, "bastion:2200")); err != nil {
		t.Error(err)
	}
	if c, err := b.Dial(t.Context(), Laptop, "tcp", "bastion:2200"); err == nil {
		c.Close()
		t.Error("one lab's laptop reached another's bastion")
	}
}

func TestCommandSeesOnlyTheMachine(t *testing.T) {
	t.Setenv("AWS_PROFILE", "developer")
	l := New(t, Config{})
	for _, tt := range []struct{ name, script, want string }{
		{"environment", "echo $AWS_PROFILE", ""},
		{"home", "echo ~root", l.Home},
		{"interfaces", "ls -x /sys/class/net >/dev/null; ip -o link | cut -d: -f2 | tr -d '\n'", " lo uplink internet"},
	} {
		out, err := l.Command(t.Context(), Laptop, "sh", "-c", tt.script).CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); got != tt.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// record lets a test end a lab before it ends itself.
type record struct {
	testing.TB
	cleanups []func()
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
	r := &record{TB: t}
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
