package tunnel

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// localShell reaches the bastion by a command of the user's, such as
// "ssh -F x" or "kubectl exec -i %n -- sh -c %c": for what a Go ssh client has
// not (smart cards, GSSAPI) and for what is no ssh at all.
type localShell struct {
	client     *Client
	atTerminal bool // somebody may be asked

	mu      sync.Mutex
	started []*commandConn
}

// openByCommand starts the relay by the ssh command. Where somebody may be
// asked it has the terminal; but several commands would ask there all at once,
// so each goes without at first, and has it in turn where that is not enough.
func (c *Client) openByCommand(ctx context.Context) (*runningRelay, error) {
	t, several := c.Prompter.(turn)
	if several = several && t.several; several {
		r, err := c.startRelay(ctx, &localShell{client: c})
		var e *Error
		if err == nil || !errors.As(err, &e) || e.Kind != KindAuth && e.Kind != KindHostKey {
			return r, err
		}
		if t.begin(ctx) != nil {
			return nil, err
		}
		defer t.mu.Unlock()
	}
	return c.startRelay(ctx, &localShell{client: c, atTerminal: c.Prompter != nil})
}

func (l *localShell) String() string { return l.client.Destination }

// start runs the user's command. Where it names neither the target (%n) nor
// the command to run there (%c, one word), both are added, as ssh wants them.
func (l *localShell) start(command string) (remote, error) {
	if strings.HasPrefix(l.client.Destination, "-") {
		return nil, &Error{Kind: KindConfig, Host: l.String(), Err: errors.New("not a host name"), Hint: "ssh would take it for an option"}
	}
	cmd := exec.Command("sh", "-c", commandLine(l.client.SSHCommand, l.client.Destination, command, l.atTerminal))
	if !l.atTerminal {
		noTerminal(cmd)
	}
	c, err := startProgram("ssh command", cmd, l.atTerminal, l.client.log())
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started = append(l.started, c)
	return localRemote{c}, nil
}

// commandLine is what the shell here is given.
func commandLine(template, destination, command string, atTerminal bool) string {
	line := "exec "
	if assignment.MatchString(template) {
		line += "env " // exec takes no assignments
	}
	line += fill(template, destination, command)
	if atTerminal {
		// It gets the terminal's signals too, and has to outlive the first
		// Ctrl-C: requests are finished after it.
		line = `trap "" INT QUIT; ` + line
	}
	return line
}

// assignment is how a command begins that sets a variable for itself.
var assignment = regexp.MustCompile(`^\s*[A-Za-z_][A-Za-z0-9_]*=`)

// fill puts the destination and the command to run there into the template.
func fill(template, destination, command string) string {
	if !strings.Contains(template, "%n") && !strings.Contains(template, "%c") {
		template = strings.ReplaceAll(template, "%", "%%") + " %n %c"
	}
	return strings.NewReplacer("%%", "%", "%n", quote(destination), "%c", quote(command)).Replace(template)
}

// quote makes s one word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// cut ends every program that was started. It does not wait for them, as a
// context's end calls it.
func (l *localShell) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.started {
		go c.Close() // ends within twice killAfter
	}
}

// byHand is a hint.
func (l *localShell) byHand() string {
	return "try it by hand: " + fill(l.client.SSHCommand, l.client.Destination, "true")
}

// sshFailed is the exit status by which ssh tells that it failed itself.
const sshFailed = 255

func (l *localShell) patience() time.Duration {
	if l.atTerminal {
		return personTime // for a PIN or a password
	}
	return relayTimeout
}

func (l *localShell) refused(broken error, silent bool, why error) *Error {
	switch {
	case broken != nil:
	case silent: // a container that is starting, a cluster that is away: not ssh's codes
		return &Error{Kind: KindRelay, Host: l.String(), Err: why, Passing: true, Hint: l.byHand()}
	default:
		return nil
	}
	e := &Error{Kind: KindUnreachable, Host: l.String(), Err: broken, Passing: true, Hint: l.byHand()}
	text := broken.Error()
	switch {
	case strings.Contains(text, "Permission denied"):
		e.Kind, e.Passing = KindAuth, false
	case strings.Contains(text, "Host key verification failed"):
		e.Kind, e.Passing = KindHostKey, false
	case strings.Contains(text, "not found") || strings.Contains(text, "No such file"):
		e.Kind, e.Passing = KindConfig, false
	}
	return e
}

// localRemote is a remote by a command on this machine.
type localRemote struct{ *commandConn }

func (r localRemote) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r localRemote) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

func (r localRemote) ownEnd() bool {
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode() != sshFailed
	case <-time.After(settle):
	}
	return false
}

func (r localRemote) wait() error {
	<-r.ended
	<-r.heard
	// A shell that has not found the command has 127, one that may not run it
	// 126: as the relay's start has on the bastion, but then ssh says nothing.
	status := r.cmd.ProcessState.ExitCode()
	if status == sshFailed || (status == 126 || status == 127) && strings.HasPrefix(r.said(), "sh: ") {
		return r.death()
	}
	return nil
}

// Close lets the program end by itself when its input has, for a moment: so it
// can say why it ends.
func (r localRemote) Close() error {
	r.CloseWrite()
	select {
	case <-r.ended:
	case <-time.After(killAfter):
	}
	return r.commandConn.Close()
}
