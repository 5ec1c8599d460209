package tunnel

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// person is a Prompter that answers questions by what is in them, and notes
// all that is shown.
type person struct {
	mu      sync.Mutex
	answers map[string][]string // by a part of the question, in turn
	seen    []string            // questions, hidden ones with a * before them, and notices
}

func (p *person) Ask(_ context.Context, question string, secret bool) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if secret {
		question = "*" + question
	}
	p.seen = append(p.seen, question)
	for part, answers := range p.answers {
		if strings.Contains(question, part) && len(answers) > 0 {
			p.answers[part] = answers[1:]
			return answers[0] + "\n", nil
		}
	}
	return "", errors.New("no answer")
}

func (p *person) notice(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, "! "+text)
}

// saw gives what was shown, with HOST for the bastion.
func (p *person) saw(sc *scene) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var seen []string
	for _, s := range p.seen {
		seen = append(seen, strings.ReplaceAll(s, "dev@"+sc.addr, "HOST"))
	}
	return seen
}

// byPassword is a server that takes one password.
func byPassword(c *ssh.ServerConfig) {
	c.PublicKeyCallback = nil
	c.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if string(password) != "open sesame" {
			return nil, errors.New("no")
		}
		return nil, nil
	}
}

// byQuestions is a server that asks for a name and a code, with an attempt to
// paint the terminal.
func byQuestions(c *ssh.ServerConfig) {
	c.PublicKeyCallback = nil
	c.BannerCallback = func(ssh.ConnMetadata) string { return "Private\x1b[2J host.\r\nGo away.\n\n" }
	c.KeyboardInteractiveCallback = questions
}

func questions(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	got, err := ask("Two \x07steps", "First the name,\nthen the code.", []string{"Name: ", "Code\x1b]0;x\x07: "}, []bool{true, false})
	if err != nil || !reflect.DeepEqual(got, []string{"dev", " 123 "}) {
		return nil, errors.New("no")
	}
	return nil, nil
}

// byBoth wants a key, then the answers.
func byBoth(c *ssh.ServerConfig) {
	check := c.PublicKeyCallback
	c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if _, err := check(m, key); err != nil {
			return nil, err
		}
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: questions}}
	}
}

func TestLoginOnATerminal(t *testing.T) {
	notices := []string{"! Two steps", "! First the name,\nthen the code.", "(HOST) Name: ", "*(HOST) Code]0;x: "}
	for _, tc := range []struct {
		name    string
		login   func(*ssh.ServerConfig)
		config  []string
		answers map[string][]string
		want    []string // that the person saw
		err     string
	}{
		{"password, after a wrong one", byPassword, nil, map[string][]string{"password": {"wrong", "open sesame"}},
			[]string{"*HOST's password: ", "*HOST's password: "}, ""},
		{"three wrong ones", byPassword, nil, map[string][]string{"password": {"a", "b", "c", "open sesame"}},
			[]string{"*HOST's password: ", "*HOST's password: ", "*HOST's password: "}, "login refused for password"},
		{"NumberOfPasswordPrompts", byPassword, []string{"NumberOfPasswordPrompts 1"}, map[string][]string{"password": {"a", "open sesame"}},
			[]string{"*HOST's password: "}, "login refused for password"},
		{"PasswordAuthentication no", byPassword, []string{"PasswordAuthentication no"}, nil, nil, "the server takes no key, but password; ask its owner"},
		{"BatchMode", byPassword, []string{"BatchMode yes"}, nil, nil, "BatchMode yes forbids questions"},
		{"questions with a banner", byQuestions, nil, map[string][]string{"Name": {"dev"}, "Code": {" 123 "}},
			append([]string{"! Private[2J host.\nGo away."}, notices...), ""},
		{"LogLevel QUIET", byQuestions, []string{"LogLevel QUIET"}, map[string][]string{"Name": {"dev"}, "Code": {" 123 "}},
			notices[2:], ""},
		{"KbdInteractiveAuthentication no", byQuestions, []string{"KbdInteractiveAuthentication no"}, nil,
			[]string{"! Private[2J host.\nGo away."}, "the server takes no key, but keyboard-interactive"},
		{"key and questions", byBoth, []string{"IdentityFile KEY"}, map[string][]string{"Name": {"dev"}, "Code": {" 123 "}}, notices, ""},
		{"PreferredAuthentications", func(c *ssh.ServerConfig) { key := c.PublicKeyCallback; byPassword(c); c.PublicKeyCallback = key },
			[]string{"IdentityFile KEY", "PreferredAuthentications password,publickey"}, map[string][]string{"password": {"open sesame"}},
			[]string{"*HOST's password: "}, ""},
		{"PubkeyAuthentication no", func(c *ssh.ServerConfig) { key := c.PublicKeyCallback; byPassword(c); c.PublicKeyCallback = key },
			[]string{"IdentityFile KEY", "PubkeyAuthentication no"}, map[string][]string{"password": {"open sesame"}},
			[]string{"*HOST's password: "}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			sc.renew(t, tc.login)
			c := sc.client(t)
			lines := append([]string{"UserKnownHostsFile " + sc.knownHosts}, tc.config...)
			if !strings.Contains(strings.Join(lines, " "), "IdentityFile") {
				lines = append(lines, "IdentityFile none")
			}
			configure(t, c, strings.Split(strings.ReplaceAll(strings.Join(lines, "\n"), "KEY", sc.key), "\n")...)
			p := &person{answers: tc.answers}
			c.Prompter, c.Notice = p, p.notice
			err := c.Start(t.Context())
			defer c.Close()
			var e *Error
			switch {
			case tc.err == "" && err != nil:
				t.Errorf("error: %v", err)
			case tc.err != "" && (!errors.As(err, &e) || e.Kind != KindAuth || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("error %v, want %q of kind auth", err, tc.err)
			}
			if got := p.saw(sc); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("saw %q, want %q", got, tc.want)
			}
		})
	}
}

// Nobody may be there when the tunnel comes back: the error tells, and the
// server is not even asked to begin (that could ring somebody's telephone).
func TestReconnectDoesNotAskAPerson(t *testing.T) {
	for _, tc := range []struct {
		name    string
		login   func(*ssh.ServerConfig)
		answers map[string][]string
		want    string
	}{
		{"password", byPassword, map[string][]string{"password": {"open sesame", "open sesame"}}, "the server takes no key, but password; that needs a login on a terminal; start ddbproxy connect again"},
		{"password or key", func(c *ssh.ServerConfig) {
			c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errors.New("no") }
			check := c.PublicKeyCallback
			byPassword(c)
			c.PublicKeyCallback = check
		}, map[string][]string{"password": {"open sesame"}}, "; the server also takes password, for which a login on a terminal is needed; start ddbproxy connect again on a terminal, or add"},
		{"key and questions", byBoth, map[string][]string{"Name": {"dev", "dev"}, "Code": {" 123 ", " 123 "}}, "login is not complete after publickey: the server also wants keyboard-interactive; that needs a login on a terminal; start ddbproxy connect again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			var mu sync.Mutex
			begun := 0
			counting := func(c *ssh.ServerConfig) {
				tc.login(c)
				c.AuthLogCallback = func(_ ssh.ConnMetadata, method string, _ error) {
					mu.Lock()
					defer mu.Unlock()
					if method == "password" || method == "keyboard-interactive" {
						begun++
					}
				}
			}
			sc.renew(t, counting)
			c := sc.client(t)
			p := &person{answers: tc.answers}
			c.Prompter, c.Notice = p, p.notice
			start(t, c)
			before := len(p.saw(sc))
			mu.Lock()
			first := begun
			mu.Unlock()
			addr := sc.addr
			sc.bastion.Disconnect()
			sc.serve(t, addr)
			err := ping(t.Context(), c)
			var e *Error
			if !errors.As(err, &e) || e.Kind != KindAuth || !e.Permanent() || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want a permanent one with %q", err, tc.want)
			}
			if got := len(p.saw(sc)); got != before {
				t.Errorf("the person saw more: %q", p.saw(sc)[before:])
			}
			mu.Lock()
			defer mu.Unlock()
			if begun != first {
				t.Errorf("%d attempts that ask a person, want the %d at start", begun, first)
			}
		})
	}
}
