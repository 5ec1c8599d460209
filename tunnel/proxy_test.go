//go:build linux

package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// jumpHost is a bastion that forwards, as Host name of the configuration with
// a key and known_hosts of its own.
func jumpHost(t *testing.T, name string) (sc *scene, config string) {
	t.Helper()
	sc = newScene(t)
	sc.bastion.Forward, sc.bastion.Dial = true, nil
	host, port, _ := strings.Cut(sc.addr, ":")
	return sc, fmt.Sprintf("Host %s\nHostName %s\nPort %s\nUser %s\nIdentityFile %s\nUserKnownHostsFile %s\nStrictHostKeyChecking yes\n", name, host, port, name, sc.key, sc.knownHosts)
}

func TestTwoJumpsEachWithItsOwnConfiguration(t *testing.T) {
	sc := newScene(t)
	_, one := jumpHost(t, "one")
	_, two := jumpHost(t, "two")
	host, port, _ := strings.Cut(sc.addr, ":")
	c := sc.client(t)
	configure(t, c, one, two, "Host end", "HostName "+host, "Port "+port, "User dev", "ProxyJump one,two",
		"UserKnownHostsFile "+sc.knownHosts, "IdentityFile "+sc.key, "StrictHostKeyChecking yes")
	c.Destination = "end"
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestKeysOfTheCommandLineAreForTheDestination(t *testing.T) {
	sc := newScene(t)
	_, one := jumpHost(t, "one")
	host, port, _ := strings.Cut(sc.addr, ":")
	c := sc.client(t)
	configure(t, c, one, "Host end", "HostName "+host, "Port "+port, "User dev", "ProxyJump one", "UserKnownHostsFile "+sc.knownHosts)
	c.Destination, c.Identities = "end", []string{sc.key}
	start(t, c)
}

func TestErrorsNameTheHop(t *testing.T) {
	sc := newScene(t)
	jump, one := jumpHost(t, "one")
	host, port, _ := strings.Cut(sc.addr, ":")
	end := []string{"Host end", "HostName " + host, "Port " + port, "User dev", "ProxyJump one", "UserKnownHostsFile " + sc.knownHosts, "IdentityFile " + sc.key}
	first := sc.client(t)
	configure(t, first, append([]string{one}, end...)...)
	first.Destination = "end"
	start(t, first) // so both are known to serve
	first.Close()
	for _, tc := range []struct {
		name   string
		change func()
		kind   Kind
		want   string
	}{
		{"the destination is down", func() { sc.bastion.Disconnect() }, KindUnreachable, "dev@" + sc.addr + ": not reachable from the jump host one@" + jump.addr},
		{"the jump host's key is not known", func() { os.Truncate(jump.knownHosts, 0) }, KindHostKey, "one@" + jump.addr + ": its host key"},
		{"the jump host is down", func() { jump.bastion.Disconnect() }, KindUnreachable, "one@" + jump.addr + ": connection refused"},
		{"a circle", func() { one = "Host one\nProxyJump end" }, KindConfig, "more than 8 jump hosts"},
	} {
		tc.change()
		c := sc.client(t)
		configure(t, c, append([]string{one}, end...)...)
		c.Destination = "end"
		err := c.Start(t.Context())
		c.Close()
		var e *Error
		if !errors.As(err, &e) || e.Kind != tc.kind || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q of kind %d", tc.name, err, tc.want, tc.kind)
		}
	}
}

// proxied is a client that reaches the scene by a ProxyCommand.
func proxied(t *testing.T, sc *scene, command string, more ...string) *Client {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(sc.addr, ":")
	t.Setenv("DDBPROXY_TEST_CARRY", "1")
	t.Setenv("SHELL", "/bin/sh")
	c := sc.client(t)
	configure(t, c, append([]string{"Host box", "HostName " + host, "Port " + port, "User dev", "IdentityFile " + sc.key,
		"UserKnownHostsFile " + sc.knownHosts, "ProxyCommand " + strings.ReplaceAll(command, "CARRY", self+" %h:%p")}, more...)...)
	c.Destination = "box"
	return c
}

func TestProxyCommandCarries(t *testing.T) {
	sc := newScene(t)
	c := proxied(t, sc, "CARRY")
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestProxyCommandSpeaksToTheLogOnly(t *testing.T) {
	sc := newScene(t)
	c := proxied(t, sc, `sh -c 'echo "hello, \033[2J %r@%n" >&2; exec CARRY'`)
	var log bytes.Buffer
	var mu sync.Mutex
	c.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	start(t, c)
	c.Close()
	mu.Lock()
	defer mu.Unlock()
	if want := `level=INFO msg=ProxyCommand said="hello, [2J dev@box"`; !strings.Contains(log.String(), want) {
		t.Errorf("log %q, want %q in it", &log, want)
	}
}

func TestProxyCommandThatDiesIsOneError(t *testing.T) {
	for _, tc := range []struct{ name, command, want string }{
		{"with a word", `sh -c 'echo first >&2; echo no such instance >&2; exit 3'`, "ssh: HOST: its ProxyCommand ended (exit status 3): no such instance; try ssh -v box"},
		{"without", `sh -c 'exit 1'`, "ssh: HOST: its ProxyCommand ended (exit status 1); try ssh -v box"},
		{"not there", `/nowhere/carry %h`, "its ProxyCommand ended (exit status 127): "},
		{"leaving somebody behind", `sh -c 'sleep 60 & echo gone >&2'`, "its ProxyCommand ended (exit status 0): gone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			c := proxied(t, sc, tc.command)
			err := c.Start(t.Context())
			var e *Error
			want := strings.ReplaceAll(tc.want, "HOST", "dev@"+sc.addr)
			if !errors.As(err, &e) || e.Kind != KindUnreachable || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}

func TestProxyCommandThatDiesLaterIsTheReason(t *testing.T) {
	sc := newScene(t)
	pidFile := filepath.Join(sc.dir, "pid")
	c := proxied(t, sc, "sh -c 'echo $$ >"+pidFile+"; exec CARRY'")
	var log bytes.Buffer
	var mu sync.Mutex
	c.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	start(t, c)
	if err := syscall.Kill(pidIn(t, pidFile), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := ping(t.Context(), c); err != nil {
		t.Error(err) // it came back by another one
	}
	mu.Lock()
	defer mu.Unlock()
	if want := `msg="tunnel down" reason="its ProxyCommand ended (signal: killed)"`; !strings.Contains(log.String(), want) {
		t.Errorf("log %s, want %s in it", &log, want)
	}
}

func TestCloseEndsTheProxyCommandWithItsGroup(t *testing.T) {
	sc := newScene(t)
	pidFile := filepath.Join(sc.dir, "pid")
	// It and its child want no polite end.
	c := proxied(t, sc, "sh -c 'trap \"\" TERM HUP; sleep 60 & echo $! >"+pidFile+"; exec CARRY'")
	start(t, c)
	child := pidIn(t, pidFile)
	began := time.Now()
	c.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for running(child) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d of its group still runs", child)
		}
	}
}

func pidIn(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// running reports whether a process is there and not a zombie.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestProxyCommandThatIsSilentIsGivenUp(t *testing.T) {
	sc := newScene(t)
	c := proxied(t, sc, "sleep 60", "ConnectTimeout 1")
	err := c.Start(t.Context())
	if want := "no answer through its ProxyCommand for 1 s"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
