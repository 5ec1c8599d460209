package relayd

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// limits are those of one relay, but for connections; zero is none.
type limits struct {
	connections    int           // open at a time, in all relays of the account
	bandwidth      int64         // bytes a second, both directions together
	idle, lifetime time.Duration // of a connection, of the relay
}

const (
	// minBandwidth lets a TLS handshake through in time, in bytes a second.
	minBandwidth = 16 << 10
	// A relay at the end of its lifetime waits for a moment in which nothing
	// passes, so that it breaks no request, though not for ever.
	quiet    = time.Second
	patience = time.Minute
)

// with are the narrower ones of two.
func (l limits) with(m limits) limits {
	return limits{narrower(l.connections, m.connections), narrower(l.bandwidth, m.bandwidth), narrower(l.idle, m.idle), narrower(l.lifetime, m.lifetime)}
}

func narrower[T int | int64 | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// gate holds the connections of a relay to its limits.
type gate struct {
	limits
	dial  dialFunc
	count func(since time.Time) (int, error) // the account's connections; nil: this relay's

	open  atomic.Int64
	moved atomic.Int64 // when bytes last passed, in Unix nanoseconds

	mu   sync.Mutex
	next time.Time // when all that passed may have, at the bandwidth
}

// DialContext dials where the limits leave room.
func (g *gate) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if g.limits == (limits{}) {
		return g.dial(ctx, network, addr)
	}
	conn, err := g.admit(ctx, network, addr, g.open.Add(1))
	if err != nil {
		g.open.Add(-1)
		return nil, err
	}
	c := &gatedConn{Conn: conn, gate: g, closed: make(chan struct{})}
	if g.idle > 0 {
		c.silence = time.AfterFunc(g.idle, func() { conn.Close() })
	}
	return c, nil
}

// admit dials the open-th connection of this relay unless that is too many. Those
// of other relays are counted together with the new one: of two that are begun at
// the same moment none may be one too many.
func (g *gate) admit(ctx context.Context, network, addr string, open int64) (net.Conn, error) {
	full := &relay.Error{Kind: relay.KindLimit, Reason: fmt.Sprintf("%d connections are open, and this bastion allows no more of them", g.connections)}
	if g.connections > 0 && open > int64(g.connections) {
		return nil, full
	}
	conn, err := g.dial(ctx, network, addr)
	if err != nil || g.connections == 0 || g.count == nil {
		return conn, err
	}
	n, err := g.count(time.Now())
	switch {
	case err != nil:
		err = &relay.Error{Kind: relay.KindInternal, Reason: err.Error()}
	case n > g.connections:
		err = full
	default:
		return conn, nil
	}
	conn.Close()
	return nil, err
}

// expire calls end when the lifetime is over; it returns when ctx ends.
func (g *gate) expire(ctx context.Context, end func()) {
	over := time.NewTimer(g.lifetime)
	defer over.Stop()
	select {
	case <-ctx.Done():
		return
	case <-over.C:
	}
	look := time.NewTicker(quiet / 4)
	defer look.Stop()
	for began := time.Now(); time.Since(began) < patience && time.Now().UnixNano()-g.moved.Load() < int64(quiet); {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
	end()
}

// delay takes n bytes into account and returns how long they have to wait.
func (g *gate) delay(n int) time.Duration {
	const burst = 100 * time.Millisecond
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if earliest := now.Add(-burst); g.next.Before(earliest) {
		g.next = earliest
	}
	g.next = g.next.Add(time.Duration(int64(n) * int64(time.Second) / g.bandwidth))
	return g.next.Sub(now)
}

// gatedConn is a connection under limits.
type gatedConn struct {
	net.Conn
	gate    *gate
	silence *time.Timer // nil: may last
	once    sync.Once
	closed  chan struct{}
}

func (c *gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.pass(n)
	return n, err
}

func (c *gatedConn) Write(p []byte) (int, error) {
	c.pass(len(p))
	return c.Conn.Write(p)
}

// pass lets n bytes through when it is their turn.
func (c *gatedConn) pass(n int) {
	if n <= 0 {
		return
	}
	c.gate.moved.Store(time.Now().UnixNano())
	if c.silence != nil && c.silence.Stop() { // once it has struck it is over
		c.silence.Reset(c.gate.idle)
	}
	if c.gate.bandwidth == 0 {
		return
	}
	turn := time.NewTimer(c.gate.delay(n))
	defer turn.Stop()
	select {
	case <-turn.C:
	case <-c.closed:
	}
}

// CloseWrite ends one direction where the connection can.
func (c *gatedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *gatedConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		if c.silence != nil {
			c.silence.Stop()
		}
		c.gate.open.Add(-1)
	})
	return c.Conn.Close()
}
