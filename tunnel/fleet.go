package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// stagger is how long an address may be silent before the next one of the same
// name is tried beside it. A fast network has answered by then; on a slow one
// the second handshake costs a packet or two.
const stagger = 500 * time.Millisecond

// connectDirect logs in to h at one of its addresses: a name may stand for a
// fleet. An address that takes the connection and then has no ssh server that
// speaks is passed over for the next; once a server has shown its key, what
// goes wrong is the answer.
func (c *Client) connectDirect(ctx context.Context, h *host, fresh *freshKey, depth int) (*link, error) {
	d, err := h.dialer()
	if err != nil {
		return nil, &Error{Kind: KindConfig, Host: h.String(), Err: err, Hint: "see BindAddress and BindInterface in ~/.ssh/config"}
	}
	start := time.Now()
	addrs, err := h.addresses(ctx, d)
	if err != nil {
		return nil, unreachable(ctx, h, err)
	}
	c.traced(StepName, h.String(), depth, start, strings.Join(addrs, ", "))
	h.Fleet = len(addrs) > 1
	doubt := func(addr string) { c.doubts.add(h.addr(), addr) }
	left := c.doubts.order(h.addr(), addrs)
	var before error // of a login
	for {
		start := time.Now()
		conn, addr, err := dialAny(ctx, d.DialContext, left, h.timeout(), doubt)
		switch {
		case err != nil && before != nil && ctx.Err() == nil:
			return nil, before
		case err != nil:
			return nil, unreachable(ctx, h, err)
		}
		c.traced(StepReached, h.String(), depth, start, addr)
		watched := watch(conn)
		client, err := c.login(ctx, h, watched, fresh, depth)
		if err == nil {
			c.doubts.remove(h.addr(), addr)
			return &link{Client: client, host: h, conn: watched, doubt: func() { doubt(addr) }}, nil
		}
		conn.Close()
		doubt(addr)
		left = slices.DeleteFunc(left, func(a string) bool { return a == addr })
		var e *Error
		if len(left) == 0 || ctx.Err() != nil || !errors.As(err, &e) || !e.mute {
			return nil, err
		}
		before = err
		c.log().Info("trying another address of this name", "host", h.String(), "instead of", addr, "err", err)
	}
}

// addresses are host:port of all that h's name stands for, of those that d can
// dial.
func (h *host) addresses(ctx context.Context, d *net.Dialer) ([]string, error) {
	network := map[string]string{"tcp4": "ip4", "tcp6": "ip6"}[h.AddressFamily]
	if local, ok := d.LocalAddr.(*net.TCPAddr); ok && network == "" && local.IP != nil {
		network = "ip6"
		if local.IP.To4() != nil {
			network = "ip4"
		}
	}
	if network == "" {
		network = "ip"
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout())
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, network, h.HostName)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(h.HostName); err == nil {
		found = []netip.Addr{ip} // with its zone, which the resolver leaves out
	}
	var addrs []string
	for _, ip := range found {
		if addr := net.JoinHostPort(ip.Unmap().String(), h.Port); !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dialAny connects to the first of addrs that answers within timeout. They are
// begun in order: the next one when one has failed or is silent for stagger, as
// in RFC 8305. failed is told of those that one begun later has overtaken, and of those that
// refused.
func dialAny(ctx context.Context, dial dialFunc, addrs []string, timeout time.Duration, failed func(addr string)) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type answer struct {
		conn net.Conn
		addr string
		err  error
	}
	answers := make(chan answer)
	pause := min(stagger, timeout/time.Duration(len(addrs)+1))
	next := time.NewTimer(0)
	defer next.Stop()
	var open []string
	var first error
	for begun := 0; begun < len(addrs) || len(open) > 0; {
		select {
		case <-next.C:
			if begun == len(addrs) {
				continue
			}
			addr := addrs[begun]
			begun, open = begun+1, append(open, addr)
			go func() { // its answer is awaited
				conn, err := dial(ctx, "tcp", addr)
				answers <- answer{conn, addr, err}
			}()
			next.Reset(pause)
		case a := <-answers:
			open = slices.DeleteFunc(open, func(addr string) bool { return addr == a.addr })
			if a.err != nil {
				failed(a.addr)
				if first == nil {
					first = a.err
				}
				next.Reset(0)
				continue
			}
			cancel()
			for range open {
				late := <-answers
				if late.err == nil {
					late.conn.Close()
				}
				if slices.Index(addrs, late.addr) < slices.Index(addrs, a.addr) {
					failed(late.addr)
				}
			}
			return a.conn, a.addr, nil
		}
	}
	return nil, "", first
}

// doubts are the addresses that failed when they were tried last, with the
// time, by the name that they belong to. Its zero value is ready for use.
type doubts struct {
	mu    sync.Mutex
	since map[string]map[string]time.Time
}

func (d *doubts) add(name, addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since == nil {
		d.since = make(map[string]map[string]time.Time)
	}
	if d.since[name] == nil {
		d.since[name] = make(map[string]time.Time)
	}
	d.since[name][addr] = time.Now()
}

func (d *doubts) remove(name, addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.since[name], addr)
}

// order puts those that failed behind the others, the latest last, and forgets
// addresses that the name has no more.
func (d *doubts) order(name string, addrs []string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	since := d.since[name]
	for addr := range since {
		if !slices.Contains(addrs, addr) {
			delete(since, addr)
		}
	}
	ordered := slices.Clone(addrs)
	slices.SortStableFunc(ordered, func(a, b string) int { return since[a].Compare(since[b]) })
	return ordered
}
