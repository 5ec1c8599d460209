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

const (
	// connectTimeout applies where ConnectTimeout is not configured: to TCP's
	// own handshake, and to a server's silence during login.
	connectTimeout = 15 * time.Second

	maxJumps = 8
)

// link is an ssh connection and what it stands on.
type link struct {
	*ssh.Client
	host  *host
	conn  *watchedConn // the byte stream under this very connection
	under io.Closer    // the jump hosts' links, nil without
}

// Close cuts the byte stream first: a channel's own close could block on a
// dead peer.
func (l *link) Close() error {
	err := l.conn.Close()
	l.Client.Close()
	if l.under != nil {
		l.under.Close()
	}
	return err
}

// connect logs in to h, through its jump hosts or proxy command.
func (c *Client) connect(ctx context.Context, h *host, depth int) (*link, error) {
	if depth > maxJumps {
		return nil, &Error{Kind: KindConfig, Host: h.String(), Err: errors.New("more than 8 jump hosts"), Hint: "look for a ProxyJump that points back"}
	}
	c.warn(h)
	conn, under, err := c.reach(ctx, h, depth)
	if err != nil {
		return nil, err
	}
	client, err := c.login(ctx, h, conn)
	if err != nil {
		conn.Close()
		if under != nil {
			under.Close()
		}
		return nil, err
	}
	return &link{Client: client, host: h, conn: conn, under: under}, nil
}

// reach gives a byte stream to h's ssh server.
func (c *Client) reach(ctx context.Context, h *host, depth int) (*watchedConn, io.Closer, error) {
	dialCtx, cancel := context.WithTimeout(ctx, h.timeout())
	defer cancel()
	switch {
	case h.ProxyCommand != "":
		conn, err := startProxyCommand(h, c.log())
		if err != nil {
			return nil, nil, &Error{Kind: KindConfig, Host: h.String(), Err: err, Hint: "mend its ProxyCommand"}
		}
		return watch(conn), nil, nil
	case h.ProxyJump != "":
		before, last := "", h.ProxyJump
		if all, jump, ok := cutLast(h.ProxyJump, ","); ok {
			before, last = all, jump
		}
		// As with ssh -i, keys given for the destination are not its jump
		// hosts': those have theirs from the configuration.
		lookup := c.lookup()
		lookup.identities = nil
		jump, err := lookup.resolve(ctx, last)
		if err != nil {
			return nil, nil, err
		}
		if before != "" {
			jump.ProxyJump, jump.ProxyCommand = before, ""
		}
		under, err := c.connect(ctx, jump, depth+1)
		if err != nil {
			return nil, nil, err
		}
		conn, err := under.DialContext(dialCtx, "tcp", h.addr())
		if err != nil {
			under.Close()
			return nil, nil, &Error{Kind: KindUnreachable, Host: h.String(), Passing: true,
				Err: fmt.Errorf("not reachable from the jump host %s: %w", jump, plain(err)), Hint: "check the host name and port"}
		}
		return watch(conn), under, nil
	}
	d, err := h.dialer()
	if err != nil {
		return nil, nil, &Error{Kind: KindConfig, Host: h.String(), Err: err, Hint: "see BindAddress and BindInterface in ~/.ssh/config"}
	}
	conn, err := d.DialContext(dialCtx, h.AddressFamily, h.addr())
	if err != nil {
		return nil, nil, unreachable(ctx, h, err)
	}
	return watch(conn), nil, nil
}

// unreachable words the error of a TCP dial.
func unreachable(ctx context.Context, h *host, err error) error {
	e := &Error{Kind: KindUnreachable, Host: h.String(), Err: plain(err), Passing: true}
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		e.Err = context.Cause(ctx)
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Err, e.Hint = fmt.Errorf("no such host %s", h.HostName), "check the name, or give it a Host section in ~/.ssh/config"
	case errors.As(err, &dns):
		e.Err, e.Hint = fmt.Errorf("look up %s: %s", h.HostName, dns.Err), "check this machine's network"
	case strings.Contains(err.Error(), "refused"):
		e.Err, e.Hint = errors.New("connection refused"), "is this sshd's port? give another as HOST:PORT"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Err, e.Hint = errors.New("no answer"), "check the address, the VPN, and that the security group lets this machine's address in on port "+h.Port
	default:
		e.Hint = "check this machine's network"
	}
	return e
}

// plain takes the addresses that net repeats out of an error.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// login runs ssh's handshake. A server that stays silent for connectTimeout is
// given up; a question to the user stops that clock.
func (c *Client) login(ctx context.Context, h *host, conn *watchedConn) (*ssh.Client, error) {
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
	offered := new(offer)
	if slices.Contains(h.Methods, "publickey") {
		offered = c.keys.offer(ctx, h, ask)
	}
	defer offered.Close()
	auth := &authentication{host: h, ask: ask, offered: offered, notice: func(text string) { c.show(h, text) }}

	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	silence := make(chan struct{})
	defer close(silence)
	go conn.closeWhenSilent(h.timeout(), &asking, silence) // ends with silence

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
		return ssh.NewClient(sc, chans, reqs), nil
	}
	var network net.Error
	cut := errors.Is(err, io.EOF) || errors.As(err, &network)
	switch {
	case ctx.Err() != nil:
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: context.Cause(ctx), Passing: true}
	case keys.refusal != nil:
		err = keys.refusal
	case conn.silent.Load() && h.ProxyCommand != "":
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: fmt.Errorf("no answer through its ProxyCommand for %g s", h.timeout().Seconds()), Passing: true,
			Hint: "try ssh -v " + h.Alias + "; it cannot ask at the terminal here: load its key into the agent, or use ProxyJump"}
	case conn.silent.Load():
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: fmt.Errorf("connected, but ssh got no answer for %g s", h.timeout().Seconds()), Passing: true, Hint: "check that an ssh server is there"}
	case (cut || !keys.seen) && conn.death() != nil:
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: conn.death(), Passing: true, Hint: "try ssh -v " + h.Alias}
	case cut:
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: errors.New("the connection was closed during login"), Passing: true, Hint: "see the server's log (MaxStartups, fail2ban, AllowUsers)"}
	case keys.seen:
		err = auth.refused(err)
	default:
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: errors.New(strings.TrimPrefix(err.Error(), "ssh: handshake failed: ")), Hint: "is this an ssh server? give another port as HOST:PORT"}
	}
	return nil, err
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
