package proxy

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// idleTimeout is below the 60 s after which DynamoDB has been seen to close idle connections.
	idleTimeout = 50 * time.Second
	// watchAfter is how long a connection lies idle before somebody watches for its end: less is the rule in a rush, and a
	// watch for each call would be a goroutine for each.
	watchAfter = 500 * time.Millisecond
	// maxIdle is how many idle connections are kept; calmIdle how many once no call has ended for calmAfter.
	maxIdle   = 512
	calmIdle  = maxSpares
	calmAfter = 10 * time.Second
)

// A pool lends connections to AWS: one that lies idle, or the first that is either given back or dialled. It is ours, and
// not http.Transport's, because there one goroutine writes a request, another reads its answer, and a third hands it on:
// a quarter of what a call cost here. What is HTTP in it is net/http's still (exchange).
type pool struct {
	dial func(deadline time.Time, addr string) (*upstreamConn, error)
	work *sync.WaitGroup // dials and watches

	mu      sync.Mutex
	idle    []*upstreamConn // the one used last comes last
	waiting []*borrower     // the one that has waited longest comes first
	closed  bool            // keep none
	looking bool            // look is due
}

// A borrower waits for a connection.
type borrower struct {
	addr string
	got  chan loan // capacity 1
}

// A loan is a connection or why there is none.
type loan struct {
	conn *upstreamConn
	err  error
}

// take returns an idle connection to addr that is alive as far as anybody knows, or nil.
func (p *pool) take(addr string) *upstreamConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		c := p.idle[i]
		if c.addr != addr {
			continue
		}
		p.idle = slices.Delete(p.idle, i, i+1)
		if wall().Sub(c.since) < idleTimeout && c.raw.take() {
			return c
		}
		c.raw.Close()
	}
	return nil
}

// borrow dials a connection to addr and returns it, or one that is given back before. The dial ends at the deadline, and
// not with ctx: its connection may serve another request.
func (p *pool) borrow(ctx context.Context, addr string, deadline time.Time) (*upstreamConn, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, deadline.Add(grace), errNoConnection)
	defer cancel()
	b := &borrower{addr, make(chan loan, 1)}
	p.mu.Lock()
	p.waiting = append(p.waiting, b)
	p.mu.Unlock()
	p.work.Go(func() {
		c, err := p.dial(deadline, addr)
		if err == nil {
			c.pool = p
		}
		switch {
		case p.forget(b):
			b.got <- loan{c, err}
		case err == nil:
			p.put(c)
		}
	})
	select {
	case l := <-b.got:
		return l.conn, l.err
	case <-ctx.Done():
		if !p.forget(b) {
			if l := <-b.got; l.err == nil {
				p.put(l.conn)
			}
		}
		return nil, context.Cause(ctx)
	}
}

// forget takes b off the list, and reports whether it was on it: whoever did owes b its loan.
func (p *pool) forget(b *borrower) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiting, b)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	return i >= 0
}

// put gives back a connection that can be used again.
func (p *pool) put(c *upstreamConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.waiting, func(b *borrower) bool { return b.addr == c.addr }); i >= 0 {
		p.waiting[i].got <- loan{conn: c}
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return
	}
	if p.closed || len(p.idle) >= maxIdle {
		c.raw.Close()
		return
	}
	c.since = wall()
	p.idle = append(p.idle, c)
	if !p.looking {
		p.looking = true
		time.AfterFunc(watchAfter, p.look)
	}
}

// look closes what has been idle for too long and watches what has been for a while, again and again while anything is.
func (p *pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := wall()
	if n := len(p.idle); n > calmIdle && now.Sub(p.idle[n-1].since) >= calmAfter {
		for _, c := range p.idle[:n-calmIdle] {
			c.raw.Close()
		}
		p.idle = slices.Delete(p.idle, 0, n-calmIdle)
	}
	p.idle = slices.DeleteFunc(p.idle, func(c *upstreamConn) bool {
		age := now.Sub(c.since)
		switch {
		case age >= idleTimeout:
			c.raw.Close()
		case age >= watchAfter:
			c.raw.watch(p.work, func() { p.lost(c) })
		}
		return age >= idleTimeout
	})
	if p.looking = len(p.idle) > 0; p.looking {
		time.AfterFunc(watchAfter, p.look)
	}
}

// lost drops an idle connection that has ended.
func (p *pool) lost(c *upstreamConn) {
	c.raw.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(other *upstreamConn) bool { return other == c })
}

// close ends the idle connections, and those on loan when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.raw.Close()
	}
	p.idle = nil
}
