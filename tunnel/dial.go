package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
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
	timeout := h.ConnectTimeout
	if timeout == 0 {
		timeout = connectTimeout
	}
	dialCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case h.ProxyCommand != "":
		conn, err := startProxyCommand(h)
		if err != nil {
			return nil, nil, &Error{Kind: KindConfig, Host: h.String(), Err: err, Hint: "mend its ProxyCommand"}
		}
		return watch(conn), nil, nil
	case h.ProxyJump != "":
		before, last := "", h.ProxyJump
		if all, jump, ok := cutLast(h.ProxyJump, ","); ok {
			before, last = all, jump
		}
		jump, err := c.lookup().resolve(ctx, last)
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
	var d net.Dialer
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
	keys, err := newHostKeys(h, ask)
	if err != nil {
		return nil, err
	}
	offered := c.keys.offer(ctx, h, ask)
	defer offered.Close()

	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	silence := make(chan struct{})
	defer close(silence)
	go conn.closeWhenSilent(connectTimeout, &asking, silence) // ends with silence

	config := &ssh.ClientConfig{
		User:              h.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(offered.signers...)},
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(),
		ClientVersion:     "SSH-2.0-ddbproxy",
		BannerCallback:    func(text string) error { c.log().Info("banner", "host", h.String(), "text", text); return nil },
	}
	sc, chans, reqs, err := ssh.NewClientConn(conn, h.addr(), config)
	if err == nil {
		return ssh.NewClient(sc, chans, reqs), nil
	}
	var network net.Error
	switch {
	case ctx.Err() != nil:
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: context.Cause(ctx), Passing: true}
	case keys.refusal != nil:
		err = keys.refusal
	case conn.silent.Load():
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: errors.New("connected, but ssh got no answer for 15 s"), Passing: true, Hint: "check that an ssh server is there"}
	case errors.Is(err, io.EOF) || errors.As(err, &network):
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: errors.New("the connection was closed during login"), Passing: true, Hint: "see the server's log (MaxStartups, fail2ban, AllowUsers)"}
	case keys.seen:
		err = refusedLogin(h, offered)
	default:
		err = &Error{Kind: KindUnreachable, Host: h.String(), Err: errors.New(strings.TrimPrefix(err.Error(), "ssh: handshake failed: ")), Hint: "is this an ssh server? give another port as HOST:PORT"}
	}
	return nil, err
}

func refusedLogin(h *host, o *offer) error {
	e := &Error{Kind: KindAuth, Host: h.String(), Hint: "add the right one to the agent with ssh-add, or give it with -i"}
	if len(o.from) == 0 {
		e.Err = errors.New("login needs a key, and none was found")
	} else {
		e.Err = fmt.Errorf("login refused for %s", strings.Join(o.from, ", "))
	}
	if len(o.skipped) > 0 {
		e.Err = fmt.Errorf("%w (%s)", e.Err, strings.Join(o.skipped, "; "))
	}
	return e
}

// startProxyCommand runs h's ProxyCommand by the user's shell, as OpenSSH does,
// and speaks to its standard input and output.
func startProxyCommand(h *host) (net.Conn, error) {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	command := strings.NewReplacer("%%", "%", "%h", h.HostName, "%p", h.Port, "%r", h.User, "%n", h.Alias).Replace(h.ProxyCommand)
	near, far := net.Pipe()
	cmd := exec.Command(shell, "-c", "exec "+command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, os.Stderr
	// With near closed, the copies that exec makes end; a command that does
	// not is killed.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &commandConn{Conn: near, cmd: cmd, ended: waitFor(cmd, far)}, nil
}

func waitFor(cmd *exec.Cmd, far net.Conn) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
		far.Close()
	}()
	return ended
}

// commandConn ends its command when closed.
type commandConn struct {
	net.Conn
	cmd   *exec.Cmd
	ended <-chan struct{}
}

func (c *commandConn) Close() error {
	err := c.Conn.Close()
	c.cmd.Process.Kill()
	<-c.ended
	return err
}
