package tunnel

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// The first widening makes it some, the next most, which keeps below sshd's
	// MaxSessions (10 by default).
	someStripes, maxStripes = 4, 8
	// stripeSettle is how long connections take to spread over new relays.
	stripeSettle = 2 * time.Second
	// stripeCalm is how long after the last rush the further relays stay: small
	// calls cost less by one.
	stripeCalm = time.Minute
	stripeLook = 10 * time.Second
	// stripeTrial is how long a further relay has to live for others to be started
	// after it. No lifetime of a policy is shorter.
	stripeTrial = time.Minute
)

// stripes are the relays on one ssh connection. Where a channel's window is what
// limits the flow, further relays are started, each with a channel of its own,
// and connections are spread over them.
type stripes struct {
	more   func(context.Context) (*runningRelay, error) // starts a relay
	full   <-chan struct{}                              // a channel's window was used up
	spread func()                                       // told that new connections go further ways
	log    *slog.Logger

	mu     sync.Mutex
	relays []*runningRelay // the first lasts as long as the session
	calm   bool            // new connections take the first alone

	brittle  atomic.Bool // one was lost soon after its start
	watching sync.WaitGroup
}

// newStripes are r alone for now, and for good without a link.
func (c *Client) newStripes(r *runningRelay, l *link) *stripes {
	st := &stripes{relays: []*runningRelay{r}, spread: c.spread, log: c.log()}
	if l != nil {
		st.full = l.full
		select {
		case <-l.full: // by an upload
		default:
		}
		st.more = func(ctx context.Context) (*runningRelay, error) {
			return c.startRelay(ctx, &besideShell{sshShell: sshShell{l}})
		}
	}
	return st
}

// besideShell starts programs beside a relay that is well: cut ends them, and
// not the connection that it stands on.
type besideShell struct {
	sshShell

	mu      sync.Mutex
	started []remote
}

func (b *besideShell) start(command string) (remote, error) {
	r, err := b.sshShell.start(command)
	if err == nil {
		b.mu.Lock()
		b.started = append(b.started, r)
		b.mu.Unlock()
	}
	return r, err
}

func (b *besideShell) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.started {
		r.Close() // a dead peer that holds it is noticed by keepalives
	}
}

// dial opens a connection by the relay that has the fewest.
func (st *stripes) dial(ctx context.Context, network, addr string, early bool) (net.Conn, error) {
	for {
		r, first := st.pick()
		dial := r.DialContext
		if early {
			dial = r.DialEarly
		}
		conn, err := dial(ctx, network, addr)
		if !isLost(err) || first {
			return conn, err
		}
		st.lost(r) // the session is well without it
	}
}

func (st *stripes) pick() (r *runningRelay, first bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	best := st.relays[0]
	for _, r := range st.relays[1:] {
		if !st.calm && r.Streams() < best.Streams() {
			best = r
		}
	}
	return best, best == st.relays[0]
}

// count is how many relays there are.
func (st *stripes) count() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.relays)
}

// drop lets r go, and reports whether it was there still.
func (st *stripes) drop(r *runningRelay) bool {
	st.mu.Lock()
	before := len(st.relays)
	st.relays = slices.DeleteFunc(st.relays, func(other *runningRelay) bool { return other == r })
	dropped := len(st.relays) < before
	st.mu.Unlock()
	r.Close()
	return dropped
}

// lost drops one that ended by itself. What ends them soon (memory that is short,
// an administrator's script) would end others too.
func (st *stripes) lost(r *runningRelay) {
	age := time.Since(r.began)
	if st.drop(r) && age < stripeTrial && !st.brittle.Swap(true) {
		st.log.Info("a further relay did not last: no others are started beside the first", "after", age.Round(time.Millisecond), "err", r.ended())
	}
}

// watch sees to it that r is dropped when it ends, until ctx does.
func (st *stripes) watch(ctx context.Context, r *runningRelay) {
	st.watching.Go(func() {
		select {
		case <-r.Done():
			st.lost(r)
		case <-ctx.Done():
		}
	})
}

// run adds relays when they are needed and takes them away when they are not,
// until ctx ends.
func (st *stripes) run(ctx context.Context) {
	look := time.NewTicker(stripeLook)
	defer look.Stop()
	defer st.watching.Wait()
	allowed := true
	var rush, widened time.Time
	for {
		select {
		case <-st.full:
			rush = time.Now()
			if allowed && !st.brittle.Load() && time.Since(widened) > stripeSettle {
				allowed = st.widen(ctx) // refused once is refused
				widened = time.Now()
			}
		case <-look.C:
			if time.Since(rush) > stripeCalm {
				st.narrow()
			}
		case <-ctx.Done():
			return
		}
	}
}

// widen starts further relays, all at once, and reports whether each of them came.
func (st *stripes) widen(ctx context.Context) bool {
	st.mu.Lock()
	before := len(st.relays)
	st.calm = false
	st.mu.Unlock()
	more := min(max(2*before, someStripes), maxStripes) - before
	errs := make([]error, max(more, 0))
	var starting sync.WaitGroup
	for i := range errs {
		starting.Go(func() {
			r, err := st.more(ctx)
			if err == nil {
				st.mu.Lock()
				st.relays = append(st.relays, r)
				st.mu.Unlock()
				st.watch(ctx, r)
			}
			errs[i] = err
		})
	}
	starting.Wait()
	refused := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(refused) > 0 {
		st.log.Info("no further relay beside the first", "err", refused[0])
	}
	if count := st.count(); count > before {
		st.log.Info("channels are too narrow for this distance", "relays", count)
		if st.spread != nil {
			st.spread()
		}
	}
	return len(refused) == 0
}

// narrow lets the further relays go, each when its last connection has ended.
func (st *stripes) narrow() {
	st.mu.Lock()
	st.calm = true
	var idle []*runningRelay
	for _, r := range st.relays[1:] {
		if r.Streams() == 0 {
			idle = append(idle, r)
		}
	}
	st.mu.Unlock()
	for _, r := range idle {
		st.drop(r)
	}
}

// close ends all relays.
func (st *stripes) close() {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, r := range st.relays {
		r.Close()
	}
}
