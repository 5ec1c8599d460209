package tunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	// connectTimeout applies where ConnectTimeout is not configured: to TCP's
	// own handshake, and to a server's silence during login.
	connectTimeout = 15 * time.Second

	maxJumps = 8
)

// connect logs in to h, through its jump hosts or proxy command.
func (c *Client) connect(ctx context.Context, h *host, depth int) (*link, error) {
	if depth > maxJumps {
		return nil, &Error{Kind: KindConfig, Host: h.String(), Err: errors.New("more than 8 jump hosts"), Hint: "look for a ProxyJump that points back"}
	}
	c.warn(h)
	fresh := c.freshKey(ctx, h, depth)
	defer fresh.end()
	if err := c.locate(ctx, h, depth); err != nil {
		return nil, err
	}
	if h.ProxyCommand == "" && h.ProxyJump == "" {
		return c.connectDirect(ctx, h, fresh, depth)
	}
	start := time.Now()
	c.traced(StepName, h.String(), depth, start, h.HostName+" is looked up on the way")
	conn, under, err := c.reach(ctx, h, depth)
	if err != nil {
		return nil, err
	}
	c.traced(StepReached, h.String(), depth, start, h.way())
	client, err := c.login(ctx, h, conn, fresh, depth)
	if err != nil {
		conn.Close()
		if under != nil {
			under.Close()
		}
		return nil, err
	}
	return &link{Client: client, host: h, conn: conn, under: under}, nil
}

// reach gives a byte stream to h's ssh server, by its proxy command or through
// its jump hosts.
func (c *Client) reach(ctx context.Context, h *host, depth int) (*watchedConn, *link, error) {
	if h.ProxyCommand != "" {
		conn, err := startProxyCommand(h, c.log())
		if err != nil {
			return nil, nil, &Error{Kind: KindConfig, Host: h.String(), Err: err, Hint: "fix its ProxyCommand"}
		}
		return watch(conn), nil, nil
	}
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
	// Only now: the jump host may have asked a person.
	dialCtx, cancel := context.WithTimeout(ctx, h.timeout())
	defer cancel()
	conn, err := under.DialContext(dialCtx, "tcp", h.addr())
	if err != nil {
		under.Close()
		return nil, nil, &Error{Kind: KindUnreachable, Host: h.String(), Passing: true,
			Err: fmt.Errorf("not reachable from the jump host %s: %w", jump, plain(err)), Hint: "check the host name and port"}
	}
	return watch(conn), under, nil
}

// unreachable words the error of a TCP dial.
func unreachable(ctx context.Context, h *host, err error) error {
	e := &Error{Kind: KindUnreachable, Host: h.String(), Err: plain(err), Passing: true}
	var dns *net.DNSError
	var timeout net.Error
	var none *net.AddrError
	switch {
	case ctx.Err() != nil:
		e.Err = context.Cause(ctx)
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Err, e.Hint = fmt.Errorf("no such host %s", h.HostName), "check the name, or give it a Host section in ~/.ssh/config"
	case errors.As(err, &dns):
		e.Err, e.Hint = fmt.Errorf("look up %s: %s", h.HostName, dns.Err), "check this machine's network"
	case errors.As(err, &none):
		family := map[string]string{"tcp4": "IPv4 ", "tcp6": "IPv6 "}[h.AddressFamily]
		e.Err, e.Hint = fmt.Errorf("%s has no %saddress", h.HostName, family), "see AddressFamily and BindAddress in ~/.ssh/config"
	case strings.Contains(err.Error(), "refused"):
		e.Err, e.Hint = errors.New("connection refused"), "is this sshd's port? give another as HOST:PORT"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Err = errors.New("no answer")
		e.Hint = cmp.Or(h.AbsentHint, "check the address, the VPN, and that the security group lets this machine's address in on port "+h.Port)
	default:
		e.Hint = cmp.Or(h.AbsentHint, "check this machine's network")
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
