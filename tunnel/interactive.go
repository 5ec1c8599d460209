package tunnel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// authentication is one attempt to log in to one host.
type authentication struct {
	host    *host
	ask     asker // nil: nobody to ask
	offered *offer
	notice  func(text string)
	fresh   func() error // adds an ephemeral key; nil without one
	hint    string       // where that was refused

	allowed []string // what the server would take next
	partial []string // what it took and did not find enough
	tried   []string // what it refused
	asked   []string // methods for which a person was asked

	patient atomic.Bool // the server may wait for a person, too
}

// personTime is how long a server may be silent while it waits for a person's
// telephone (push messages end after a minute, mostly).
const personTime = 2 * time.Minute

// limit is how long the server may be silent now.
func (a *authentication) limit() time.Duration {
	if a.patient.Load() {
		return max(personTime, a.host.timeout())
	}
	return a.host.timeout()
}

// methods are those to use, in the configured order. What asks a person is
// left out where there is nobody: to begin it could already send a message to
// somebody's telephone.
func (a *authentication) methods() []ssh.AuthMethod {
	var methods []ssh.AuthMethod
	if a.fresh != nil && !slices.Contains(a.host.Methods, "publickey") {
		methods = append(methods, ssh.PublicKeysCallback(a.keys))
	}
	for _, m := range a.host.Methods {
		switch {
		case m == "publickey":
			methods = append(methods, ssh.PublicKeysCallback(a.keys))
		case a.ask == nil:
		case m == "keyboard-interactive":
			methods = append(methods, ssh.RetryableAuthMethod(ssh.KeyboardInteractive(a.challenge), a.host.PasswordPrompts))
		case m == "password":
			methods = append(methods, ssh.RetryableAuthMethod(ssh.PasswordCallback(a.password), a.host.PasswordPrompts))
		}
	}
	return methods
}

// keys are all there are, an ephemeral one first: each that is refused counts
// towards MaxAuthTries. It is waited for here, when the server is ready for it.
func (a *authentication) keys() ([]ssh.Signer, error) {
	if a.fresh != nil {
		if err := a.fresh(); err != nil {
			return nil, err
		}
		a.fresh = nil
	}
	return a.offered.signers, nil
}

// next is told between attempts what the server would take. It leaves the choice
// to the order of methods, unless a key did not sign (it waits for a touch, its
// agent asks): as in OpenSSH the next key has its turn.
func (a *authentication) next(ctx *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	a.allowed, a.partial, a.tried = ctx.AllowedMethods, ctx.PartialSuccessMethods, ctx.TriedMethods
	a.patient.Store(a.ask != nil && len(a.questions()) > 0)
	if left := a.offered.behindMute(); len(left) > 0 && slices.Contains(a.allowed, "publickey") {
		return ssh.PublicKeys(left...), nil
	}
	return nil, nil
}

func (a *authentication) noteAsked(method string) {
	if !slices.Contains(a.asked, method) {
		a.asked = append(a.asked, method)
	}
}

func (a *authentication) password() (string, error) {
	a.noteAsked("password")
	password, err := a.ask(fmt.Sprintf("%s's password: ", a.host), true)
	return strings.TrimRight(password, "\r\n"), err
}

// challenge puts the server's questions (RFC 4256) to the person. Each begins
// with the host, so that a server cannot pose as something else.
func (a *authentication) challenge(name, instruction string, questions []string, echos []bool) ([]string, error) {
	a.noteAsked("keyboard-interactive")
	if len(questions) > 20 {
		return nil, fmt.Errorf("%d questions at once", len(questions))
	}
	a.notice(name)
	a.notice(instruction)
	replies := make([]string, len(questions))
	for i, q := range questions {
		reply, err := a.ask(fmt.Sprintf("(%s) %s ", a.host, relay.Printable(q, 300)), !echos[i])
		if err != nil {
			return nil, err
		}
		replies[i] = strings.TrimRight(reply, "\r\n")
	}
	return replies, nil
}

// refused words the server's no.
func (a *authentication) refused(err error) error {
	e := &Error{Kind: KindAuth, Host: a.host.String(), Hint: "add the right one to the agent with ssh-add, or give it with -i"}
	switch {
	case len(a.partial) > 0:
		e.Err = fmt.Errorf("login is not complete after %s: the server also wants %s", strings.Join(a.partial, ", "), strings.Join(a.allowed, " or "))
		e.Hint = ""
	case len(a.offered.from) > 0 && slices.Contains(a.tried, "publickey"):
		e.Err = fmt.Errorf("login refused for %s", strings.Join(slices.Concat(a.offered.from, a.asked), ", "))
	case len(a.asked) > 0:
		e.Err = fmt.Errorf("login refused for %s", strings.Join(a.asked, ", "))
		e.Hint = "check the user name and what was typed, or give a key with -i"
	case len(a.allowed) > 0 && !slices.Contains(a.allowed, "publickey"):
		e.Err = fmt.Errorf("the server takes no key, but %s", strings.Join(a.allowed, ", "))
		e.Hint = "ask its owner for a way in by key"
	default:
		e.Err = errors.New("login needs a key, and none was found")
	}
	if strings.Contains(err.Error(), "oo many authentication failures") {
		e.Err = fmt.Errorf("too many keys were offered, and the server gave up before it had seen them all (MaxAuthTries): %s", strings.Join(a.offered.from, ", "))
		e.Hint = "name the right key by IdentityFile and set IdentitiesOnly yes"
	}
	if a.hint != "" && slices.Contains(a.tried, "publickey") {
		e.Hint = a.hint
	}
	for _, f := range a.offered.files {
		if f.locked {
			e.Err, e.Hint = fmt.Errorf("three wrong passphrases for %s", f.name), "try again, or load the key with ssh-add"
		}
	}
	if len(a.offered.skipped) > 0 {
		e.Err = fmt.Errorf("%w (%s)", e.Err, strings.Join(a.offered.skipped, "; "))
	}
	for _, m := range a.host.Unsupported {
		// Most servers offer GSSAPI beside what they mean.
		if slices.Contains(a.allowed, m) && !slices.Contains(a.allowed, "publickey") {
			e.Err = fmt.Errorf("%w (%s is not supported)", e.Err, m)
		}
	}
	questions := a.questions()
	switch {
	case a.ask != nil || len(questions) == 0:
	case slices.Contains(a.allowed, "publickey"):
		e.Err = fmt.Errorf("%w; the server also takes %s, for which a login on a terminal is needed", e.Err, strings.Join(questions, " or "))
		e.Hint = "start ddbproxy connect again on a terminal, or add the right key to the agent with ssh-add"
	default:
		e.Err = fmt.Errorf("%w; that needs a login on a terminal", e.Err)
		e.Hint = "start ddbproxy connect again on a terminal"
	}
	if a.host.BatchMode && len(questions) > 0 {
		e.Hint = "BatchMode yes forbids questions: take it out of this Host"
	}
	return e
}

// questions are the methods, of those that the server would take next, which
// ask a person.
func (a *authentication) questions() []string {
	var methods []string
	for _, m := range a.allowed {
		if m != "publickey" && slices.Contains(a.host.Methods, m) {
			methods = append(methods, m)
		}
	}
	return methods
}

// showable is a server's text for a person, line by line without what could
// steer a terminal; "" for nothing.
func showable(text string) string {
	const maxLines = 60
	var lines []string
	for line := range strings.Lines(text) {
		if len(lines) < maxLines {
			lines = append(lines, relay.Printable(line, 300))
		}
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
