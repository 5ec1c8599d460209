//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// A terminal, OpenSSH's password method, and a person who mistypes once.
func TestPasswordOnATerminalLogsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{Config: []string{"PasswordAuthentication yes", "PubkeyAuthentication no"}})
	r.password("correct horse")

	// script gives the program a terminal of its own, and its own input to that.
	cmd := r.ddbproxy(nil)
	cmd.Args[len(cmd.Args)-1] = "script"
	cmd.Args = append(cmd.Args, "-qefc", "exec "+filepath.Join(programs, "ddbproxy")+" connect "+lab.BastionName, "/dev/null")
	screen := &text{}
	cmd.Stdout, cmd.Stderr = screen, screen
	keyboard, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its code is looked at below
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	question := lab.User + "@" + lab.BastionAddr + ":22's password: "
	for i, answer := range []string{"wrong", "correct horse"} {
		eventually(t, "the password is asked for", func() bool { return strings.Count(screen.String(), question) == i+1 })
		fmt.Fprintln(keyboard, answer)
	}
	eventually(t, "it is connected", func() bool { return strings.Contains(screen.String(), "Ctrl-C ends it.") })
	r.listed()
	if strings.Contains(screen.String(), "horse") {
		t.Errorf("the password was shown:\n%s", screen)
	}

	// When the tunnel breaks nobody may be there: no question, a clear error.
	r.door.KillSessions()
	eventually(t, "the client is told to log in again", func() bool {
		return strings.Contains(r.local("list-tables").stderr, "start ddbproxy connect again on a terminal")
	})
	if got := strings.Count(screen.String(), question); got != 2 {
		t.Errorf("the password was asked for %d times, want 2:\n%s", got, screen)
	}
	fmt.Fprint(keyboard, "\x03") // Ctrl-C
	<-ended
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("Ctrl-C ended it with %v, want exit code 0:\n%s", cmd.ProcessState, screen)
	}
}

// password gives the bastion's user a password.
func (r *rig) password(word string) {
	r.tb.Helper()
	hash, err := exec.Command("openssl", "passwd", "-6", word).Output()
	if err != nil {
		r.tb.Skipf("openssl makes the password: %v", err)
	}
	file := filepath.Join(r.Dir, string(lab.Bastion), "etc", "shadow")
	shadow, err := os.ReadFile(file)
	if err != nil {
		r.tb.Fatal(err)
	}
	locked, open := "\n"+lab.User+":*:", "\n"+lab.User+":"+strings.TrimSpace(string(hash))+":"
	if !strings.Contains(string(shadow), locked) {
		r.tb.Fatalf("%s has no locked user: %q", file, shadow)
	}
	// The same file, since sshd has it mounted.
	r.write(file, strings.Replace(string(shadow), locked, open, 1))
}
