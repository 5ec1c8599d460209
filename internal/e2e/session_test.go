//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

const localURL = "http://localhost:8000"

// session is a running `ddbproxy connect bastion` on the laptop.
type session struct {
	rig    *rig
	cmd    *exec.Cmd
	stderr *text
	ended  chan struct{} // closed when it has exited, whatever the code
	once   sync.Once
}

// connect runs `ddbproxy connect bastion` and returns when it has printed its
// URL. The test ends with Ctrl-C, and with the promise that nothing is left.
func (r *rig) connect(args ...string) *session {
	r.tb.Helper()
	return r.connectWith(nil, args...)
}

// connectWith is connect with further variables in the environment.
func (r *rig) connectWith(env []string, args ...string) *session {
	r.tb.Helper()
	return r.connectTo(env, append([]string{lab.BastionName}, args...)...)
}

// connectTo is connectWith to a bastion that the arguments name.
func (r *rig) connectTo(env []string, args ...string) *session {
	r.tb.Helper()
	s := &session{rig: r, cmd: r.ddbproxy(env, append([]string{"connect"}, args...)...), stderr: &text{}, ended: make(chan struct{})}
	s.cmd.Stderr = s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		r.tb.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		r.tb.Fatal(err)
	}
	first := make(chan string, 1)
	go func() {
		defer close(s.ended)
		lines := bufio.NewReader(out)
		line, _ := lines.ReadString('\n')
		first <- line
		for line != "" {
			line, _ = lines.ReadString('\n')
		}
		_ = s.cmd.Wait() // Stop looks at the code
	}()
	select {
	case line := <-first:
		want := localURL + "\n"
		if slices.Contains(args, "--tls") {
			want = strings.Replace(want, "http:", "https:", 1)
		}
		if got := line; got != want {
			<-s.ended
			r.tb.Fatalf("connect printed %q, want %q; exit code %d\n%s", got, want, s.cmd.ProcessState.ExitCode(), s.stderr)
		}
	case <-time.After(60 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
		r.tb.Fatalf("connect printed no URL within 60 s\n%s", s.stderr)
	}
	r.tb.Cleanup(func() {
		if r.tb.Failed() {
			r.tb.Logf("ddbproxy said:\n%s", s.stderr)
		}
	})
	r.tb.Cleanup(func() { s.stop(os.Interrupt) })
	return s
}

// stop sends a signal, once, and checks that the session ends as it should.
func (s *session) stop(signal os.Signal) {
	s.rig.tb.Helper()
	s.once.Do(func() {
		s.rig.tb.Helper()
		_ = s.cmd.Process.Signal(signal)
		s.wait()
	})
}

// wait checks that the session, having been asked to end, does so with code 0
// and takes its relay along.
func (s *session) wait() {
	s.rig.tb.Helper()
	select {
	case <-s.ended:
	case <-time.After(60 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.rig.tb.Errorf("ddbproxy did not end within 60 s")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.rig.tb.Errorf("ddbproxy ended with %v, want exit code 0", s.cmd.ProcessState)
	}
	eventually(s.rig.tb, "the relay is gone from the bastion", func() bool { return len(s.rig.relays()) == 0 })
}

// ddbproxy is a command on the laptop without a terminal.
func (r *rig) ddbproxy(env []string, args ...string) *exec.Cmd {
	r.tb.Helper()
	cmd := r.Command(r.tb.Context(), lab.Laptop, filepath.Join(programs, "ddbproxy"), args...)
	cmd.Env = append(append(cmd.Env, "AWS_CA_BUNDLE="+r.caFile, "XDG_RUNTIME_DIR="+r.runtime), env...)
	cmd.SysProcAttr.Setsid = true
	// The test's end is an ordinary end, so that its cleanup can look at it.
	cmd.Cancel = func() error { return nil }
	return cmd
}

// run runs ddbproxy to its end and returns its exit code and what it said.
func (r *rig) run(env []string, args ...string) (code int, stderr string) {
	r.tb.Helper()
	cmd := r.ddbproxy(env, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		r.tb.Fatal(err)
	}
	kill := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.tb.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// kill ends processes of the bastion that the test's own sessions started.
func kill(tb testing.TB, pids []int) {
	tb.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			tb.Fatal(err)
		}
	}
}

func atoi(tb testing.TB, s string) int {
	tb.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// text is what a running program has printed so far.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
