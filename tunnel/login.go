package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// login runs ssh's handshake. A server that stays silent is given up; a
// question to the user stops that clock.
func (c *Client) login(ctx context.Context, h *host, conn *watchedConn, fresh *freshKey, depth int) (*ssh.Client, error) {
	// Open questions are counted, so that a person who thinks is not taken for
	// a silent server.
	var asking atomic.Int32
	var ask asker
	if p := c.Prompter; p != nil {
		ask = func(question string, secret bool) (string, error) {
			asking.Add(1)
			defer asking.Add(-1)
			return p.Ask(ctx, question, secret)
		}
	}
	if h.BatchMode {
		ask = nil
	}
	keys, err := newHostKeys(h, ask)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	keys.lookOnly = c.LookOnly
	keys.accepted = func(detail string) {
		c.traced(StepHostKey, h.String(), depth, start, detail)
		start = time.Now()
	}
	offered := new(offer)
	if slices.Contains(h.Methods, "publickey") {
		offered = c.keys.offer(ctx, h, ask, &asking)
	}
	defer offered.Close()
	auth := &authentication{host: h, ask: ask, offered: offered, notice: func(text string) { c.show(h, text) }}
	if fresh != nil {
		auth.hint = fresh.Hint
		auth.fresh = func() error {
			key, err := fresh.get(ctx, &asking)
			if err == nil {
				offered.addFirst(h, key, fresh.Name)
			}
			return err
		}
	}

	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	silence := make(chan struct{})
	defer close(silence)
	go conn.closeWhenSilent(auth.limit, &asking, silence) // ends with silence

	config := &ssh.ClientConfig{
		Config:            h.Algorithms.config(),
		User:              h.User,
		Auth:              auth.methods(),
		AuthCallback:      auth.next,
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(),
		ClientVersion:     "SSH-2.0-ddbproxy",
		BannerCallback:    func(text string) error { auth.notice(text); return nil },
	}
	sc, chans, reqs, err := ssh.NewClientConn(conn, h.addr(), config)
	if err == nil {
		c.traced(StepLogin, h.String(), depth, start, "as "+h.User)
		return ssh.NewClient(sc, chans, overheard(reqs, conn.spoke)), nil
	}
	switch {
	case ctx.Err() != nil:
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: context.Cause(ctx), Passing: true}
	case keys.refusal != nil:
		err = keys.refusal
	case fresh.failed() != nil:
		err = fresh.failed()
	default:
		err = failedLogin(conn, auth, keys.seen, err)
	}
	return nil, err
}

// overheard passes the server's requests on and tells of them.
func overheard(reqs <-chan *ssh.Request, told chan<- struct{}) <-chan *ssh.Request {
	out := make(chan *ssh.Request)
	go func() { // ends with the connection
		defer close(out)
		for r := range reqs {
			notify(told)
			out <- r
		}
	}()
	return out
}

// failedLogin words why a handshake failed that nobody here has stopped. known
// tells that the server's host key was accepted, so that the rest was login.
func failedLogin(conn *watchedConn, auth *authentication, known bool, err error) error {
	h := auth.host
	var network net.Error
	cut := errors.Is(err, io.EOF) || errors.As(err, &network)
	e := &Error{Kind: KindUnreachable, Host: h.String(), mute: !known}
	switch {
	case conn.silent.Load() && h.ProxyCommand != "":
		e.Passing, e.Err = true, fmt.Errorf("no answer through its ProxyCommand for %g s", auth.limit().Seconds())
		e.Hint = "try ssh -v " + h.Alias + "; it cannot ask at the terminal here: load its key into the agent, or use ProxyJump"
	case conn.silent.Load():
		e.Passing, e.Err = true, fmt.Errorf("connected, but ssh got no answer for %g s", auth.limit().Seconds())
		e.Hint = "check that an ssh server is there"
	case (cut || !known) && conn.death() != nil:
		e.Passing, e.Err, e.Hint = true, conn.death(), "try ssh -v "+h.Alias
	case cut:
		e.Passing, e.Err = true, errors.New("the connection was closed during login")
		e.Hint = "is this an ssh server's port? if so, its log tells more (MaxStartups, fail2ban, AllowUsers)"
	case known:
		return auth.refused(err)
	default:
		e.Err = errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "ssh: handshake failed: "), "ssh: "))
		e.Hint = "is this an ssh server? give another port as HOST:PORT"
		if strings.Contains(err.Error(), "no common algorithm") {
			e.Hint = "name one that the server has for this Host in ~/.ssh/config; insecure ones are used only where they are named"
		}
	}
	return e
}

// show puts a server's text before the person at the terminal while there is
// one, else into the log.
func (c *Client) show(h *host, text string) {
	text = showable(text)
	switch {
	case text == "" || h.Quiet:
	case c.Notice != nil:
		c.Notice(text)
	default:
		c.log().Info("banner", "host", h.String(), "text", text)
	}
}

// warn names what h's configuration asks for and does not get, once.
func (c *Client) warn(h *host) {
	names := strings.Join(h.Warnings, ", ")
	if names == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.warned[h.Alias+names] {
		if c.warned == nil {
			c.warned = make(map[string]bool)
		}
		c.warned[h.Alias+names] = true
		c.log().Warn("ssh options that are not honoured here", "host", h.Alias, "options", names)
	}
}
