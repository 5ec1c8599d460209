//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// A terminal, OpenSSH's password method, and a person who mistypes once.
func TestPasswordOnATerminalLogsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{Config: []string{"PasswordAuthentication yes", "PubkeyAuthentication no"}})
	r.password("correct horse")

	at := r.terminal()
	screen := at.screen
	question := lab.User + "@" + lab.BastionAddr + ":22's password: "
	for i, answer := range []string{"wrong", "correct horse"} {
		eventually(t, "the password is asked for", func() bool { return strings.Count(screen.String(), question) == i+1 })
		fmt.Fprintln(at.keyboard, answer)
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
	at.interrupt()
}

// PAM's own conversation: a password, then a one-time code.
func TestTwoQuestionsOfPAMLogIn(t *testing.T) {
	t.Parallel()
	if found, err := filepath.Glob("/usr/lib/*/security/pam_google_authenticator.so"); err != nil || len(found) == 0 {
		if os.Getenv(lab.RequireEnv) != "" {
			t.Fatal("pam_google_authenticator is missing: run scripts/test-deps")
		}
		t.Skip("pam_google_authenticator is missing: run scripts/test-deps")
	}
	r := newRig(t, lab.Config{})
	codes := filepath.Join(r.Dir, "codes") // each of the numbers is good for one login
	r.write(codes, "ABCDEFGHIJKLMNOP\n\" TOTP_AUTH\n12345678\n23456789\n")
	r.openDoor(lab.SSHDOptions{
		PAM: []string{"auth required pam_unix.so", "auth required pam_google_authenticator.so user=root secret=" + codes,
			"account required pam_permit.so", "session required pam_permit.so"},
		Config: []string{"KbdInteractiveAuthentication yes", "PubkeyAuthentication no"},
	})
	r.password("correct horse")
	r.refuses(t, nil, []string{lab.BastionName}, 5, "the server takes no key, but keyboard-interactive; that needs a login on a terminal; start ddbproxy connect again on a terminal")

	at := r.terminal()
	from := "(" + lab.User + "@" + lab.BastionAddr + ":22) "
	for _, q := range []struct{ question, answer string }{{"Password: ", "correct horse"}, {"Verification code: ", "12345678"}} {
		eventually(t, "the question is asked", func() bool { return strings.Contains(at.screen.String(), from+q.question) })
		fmt.Fprintln(at.keyboard, q.answer)
	}
	eventually(t, "it is connected", func() bool { return strings.Contains(at.screen.String(), "Ctrl-C ends it.") })
	r.listed()

	// Who waits is told at once that somebody has to log in; the server hears of
	// it once, however many ask (it may lock out who tries on).
	before := strings.Count(r.door.Log(), "Connection from ")
	r.door.KillSessions()
	c := r.gosdk(once)
	for range 12 {
		_, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if err == nil || !strings.Contains(err.Error(), "that needs a login on a terminal; start ddbproxy connect again on a terminal") {
			t.Fatalf("ListTables: %v, want it to say that a login is needed", err)
		}
	}
	var told bytes.Buffer
	status := r.ddbproxy(nil, "status")
	status.Stdout = &told
	if err := status.Run(); err == nil || !strings.Contains(told.String(), ", needs you\n") || !strings.Contains(told.String(), "that needs a login on a terminal") {
		t.Errorf("status: %v, and it told\n%s\nwant that a login is needed", err, &told)
	}
	wait(t, time.Second)
	if got := strings.Count(r.door.Log(), "Connection from ") - before; got != 1 {
		t.Errorf("the server was connected to %d times, want once:\n%s", got, r.door.Log())
	}
	if got := strings.Count(at.screen.String(), from); got != 2 {
		t.Errorf("%d questions were asked, want 2:\n%s", got, at.screen)
	}
	for _, typed := range []string{"horse", "12345678"} {
		if strings.Contains(at.screen.String(), typed) {
			t.Errorf("%q was shown:\n%s", typed, at.screen)
		}
	}
	at.interrupt()
}

// atTerminal is a ddbproxy connect whose person sits at a terminal.
type atTerminal struct {
	rig      *rig
	cmd      *exec.Cmd
	screen   *text
	keyboard io.Writer
	ended    chan struct{}
}

// terminal starts one. script gives the program a terminal of its own, and its
// own input to that.
func (r *rig) terminal(args ...string) *atTerminal {
	r.tb.Helper()
	at := &atTerminal{rig: r, cmd: r.ddbproxy(nil), screen: &text{}, ended: make(chan struct{})}
	at.cmd.Args[len(at.cmd.Args)-1] = "script"
	at.cmd.Args = append(at.cmd.Args, "-qefc", "exec "+filepath.Join(programs, "ddbproxy")+" connect "+strings.Join(append(args, lab.BastionName), " "), "/dev/null")
	at.cmd.Stdout, at.cmd.Stderr = at.screen, at.screen
	var err error
	if at.keyboard, err = at.cmd.StdinPipe(); err != nil {
		r.tb.Fatal(err)
	}
	if err := at.cmd.Start(); err != nil {
		r.tb.Fatal(err)
	}
	go func() {
		defer close(at.ended)
		_ = at.cmd.Wait() // its code is looked at in interrupt
	}()
	r.tb.Cleanup(func() {
		_ = at.cmd.Process.Kill()
		<-at.ended
	})
	return at
}

// interrupt is Ctrl-C.
func (at *atTerminal) interrupt() {
	at.rig.tb.Helper()
	fmt.Fprint(at.keyboard, "\x03")
	<-at.ended
	if code := at.cmd.ProcessState.ExitCode(); code != 0 {
		at.rig.tb.Errorf("Ctrl-C ended it with %v, want exit code 0:\n%s", at.cmd.ProcessState, at.screen)
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
