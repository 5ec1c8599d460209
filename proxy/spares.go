package proxy

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	spareAge  = 45 * time.Second // renewed after this, before AWS closes it
	spareUse  = 15 * time.Minute // how long after a request several are kept
	fewSpares = 2                // then, unless that was seen not to be enough
	maxSpares = 16
	spareWait = 30 * time.Second // longest pause after failures
	// spareLull is how long a spare that was taken has no successor: the requests of a burst go first. After a silence
	// TCP has room for ten segments, and a handshake takes one or two.
	spareLull = 250 * time.Millisecond
)

// spares keeps a few TLS connections ready to the default endpoint, so that the first calls after a silence cost one
// round trip and not the three or four of a connection: as many as were in want at a time, up to maxSpares. It is idle
// until warm is called.
type spares struct {
	dial func(ctx context.Context) (*upstreamConn, error)
	addr string // "host:443", what they are connected to

	wake  chan struct{} // something changed; capacity 1
	watch sync.WaitGroup

	mu     sync.Mutex
	ready  []spare // oldest first
	wanted int     // more than fewSpares once there were too few
	used   time.Time
	failed bool // a dial failed or a spare died since keep looked
	closed bool
}

type spare struct {
	conn *upstreamConn
	born time.Time // wall clock: a sleeping laptop's monotonic clock stands still, its connections age
}

func newSpares(addr string, dial func(context.Context) (*upstreamConn, error)) *spares {
	return &spares{dial: dial, addr: addr, wake: make(chan struct{}, 1)}
}

func wall() time.Time { return time.Now().Round(0) }

// take returns the newest ready connection to addr, or nil.
func (p *spares) take(addr string) *upstreamConn {
	if addr != p.addr {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ready) > 0 {
		last := p.ready[len(p.ready)-1]
		p.ready = p.ready[:len(p.ready)-1]
		p.stir()
		if wall().Sub(last.born) < idleTimeout && last.conn.raw.take() {
			return last.conn
		}
		last.conn.raw.Close()
	}
	p.wanted = min(max(p.wanted, fewSpares)+1, maxSpares)
	p.stir()
	return nil
}

// touch notes that the proxy is in use.
func (p *spares) touch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wall().Sub(p.used) > spareUse {
		p.stir()
	}
	p.used = wall()
}

func (p *spares) stir() {
	select {
	case p.wake <- struct{}{}:
	default: // already told
	}
}

// fill dials what is missing, all at once, then lets the old ones go. It returns the first error.
func (p *spares) fill(ctx context.Context) error {
	p.mu.Lock()
	now := wall() // what ages while its successor is dialled has none yet, and stays
	fresh := func(s spare) bool { return now.Sub(s.born) < spareAge }
	want := max(p.wanted, fewSpares)
	if wall().Sub(p.used) > spareUse {
		want, p.wanted = 1, 0
	}
	for _, s := range p.ready {
		if fresh(s) {
			want--
		}
	}
	p.mu.Unlock()

	errs := make(chan error, max(want, 0))
	for range want {
		go p.add(ctx, errs)
	}
	var first error
	for range want {
		if err := <-errs; first == nil {
			first = err
		}
	}

	var old []spare
	p.mu.Lock()
	p.ready = slices.DeleteFunc(p.ready, func(s spare) bool {
		if !fresh(s) {
			old = append(old, s)
		}
		return !fresh(s)
	})
	p.failed = p.failed || first != nil
	p.mu.Unlock()
	for _, s := range old {
		s.conn.raw.take() // so that its end does not count as a death
		s.conn.raw.Close()
	}
	return first
}

// renew lets the ready connections go and asks for new ones.
func (p *spares) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	p.stir()
}

// drop closes the ready connections. The caller has the lock.
func (p *spares) drop() {
	for _, s := range p.ready {
		s.conn.raw.take() // so that its end does not count as a death
		s.conn.raw.Close()
	}
	p.ready = nil
}

// add dials one spare and reports its error; fill waits for that.
func (p *spares) add(ctx context.Context, errs chan<- error) {
	conn, err := p.dial(ctx)
	if err == nil {
		p.mu.Lock()
		if p.closed {
			conn.raw.Close()
		} else {
			p.ready = append(p.ready, spare{conn, wall()})
			conn.raw.watch(&p.watch, func() { p.lost(conn) }) // ends when the connection does, or is used
		}
		p.mu.Unlock()
	}
	errs <- err
}

// lost drops a spare whose connection ended.
func (p *spares) lost(conn *upstreamConn) {
	conn.raw.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = slices.DeleteFunc(p.ready, func(s spare) bool { return s.conn == conn })
	p.failed = true
	p.stir()
}

// keep renews and refills until ctx ends. Connections that die one after the other, or cannot be made, are asked for ever
// more rarely; only one that lives until its renewal ends that.
func (p *spares) keep(ctx context.Context) {
	pause := time.Duration(0)
	for {
		p.mu.Lock()
		failed, next, wake := p.failed, spareAge, p.wake
		p.failed = false
		if len(p.ready) > 0 {
			next = max(0, p.ready[0].born.Add(spareAge).Sub(wall()))
		}
		p.mu.Unlock()
		if failed {
			pause = min(max(2*pause, time.Second), spareWait)
			next, wake = pause, nil
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			if !failed {
				pause = 0
			}
		case <-wake:
			timer.Stop()
			if p.hasFailed() {
				continue // to the pause
			}
			if wait(ctx, spareLull) != nil {
				return
			}
		}
		_ = p.fill(ctx) // counted in failed; the next request says it better than a log line
	}
}

func (p *spares) hasFailed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// close ends the ready connections and waits for all that was ever watched; used ones must be on their way out.
func (p *spares) close() {
	p.mu.Lock()
	p.closed = true
	p.drop()
	p.mu.Unlock()
	p.watch.Wait()
}
