package tunnel

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Pool keeps tunnels to one or several bastions at the same time, and opens
// connections through the best of those that are well: a bastion that fails is
// replaced by one that is logged in already. Its fields are set before Start
// and not changed after. It is safe for concurrent use.
type Pool struct {
	// Bastions are the tunnels, the preferred first.
	Bastions []*Client
	// Moved is told when connections begin to go by another bastion. Those that are
	// open stay where they are until they are closed.
	Moved func()
	// Logger gets which bastion is taken, and why. nil discards.
	Logger *slog.Logger

	provenAfter time.Duration // shorter in tests

	members []*member
	news    chan struct{} // a bastion is up or down
	cancel  context.CancelFunc
	closed  <-chan struct{}
	work    sync.WaitGroup

	mu      sync.Mutex
	chosen  map[string]*member // the last that was taken, by target; "" for any
	changed chan struct{}      // closed and replaced at news
}

// Start connects to all bastions and returns once one is up, or with their
// errors where none is. From then on all are kept until Close.
func (p *Pool) Start(ctx context.Context) error {
	if p.provenAfter == 0 {
		p.provenAfter = provenAfter
	}
	run, cancel := context.WithCancel(context.Background())
	p.cancel, p.closed = cancel, run.Done()
	p.changed, p.news = make(chan struct{}), make(chan struct{}, 1)
	keys, interview := new(keyring), newInterview(p.Bastions)
	var members []*member
	for _, c := range p.Bastions {
		c.keys, c.moved = keys, p.news
		c.prepare()
		members = append(members, &member{Client: c})
	}
	p.mu.Lock() // Status may be asked for already
	p.members, p.chosen = members, make(map[string]*member)
	p.mu.Unlock()
	// The others go on logging in when the first is up, without ctx.
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	errs := make([]error, len(p.members)) // in their order, which is that of preference
	failed := make(chan struct{}, len(p.members))
	for i, m := range p.members {
		p.work.Go(func() {
			s, err := m.open(run)
			m.keepFrom(s, err)
			if err != nil {
				errs[i] = err
				failed <- struct{}{}
			}
			notify(p.news)
		})
	}
	for failures := 0; failures < len(p.members); {
		select {
		case <-failed:
			failures++
		case <-p.news:
		}
		if m, _ := p.look(""); m == nil {
			continue
		}
		interview.end()
		if len(p.members) > 1 {
			p.work.Go(func() { p.watch(run) })
		}
		return nil
	}
	p.Close()
	return errors.Join(errs...)
}

// Close ends all tunnels and waits for the goroutines that Start began.
func (p *Pool) Close() error {
	if p.cancel == nil {
		return nil
	}
	p.cancel()
	p.work.Wait()
	for _, m := range p.members {
		m.Close()
	}
	return nil
}

// Status tells how each bastion is, in their order; before Start there is none.
func (p *Pool) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Status, len(p.members))
	for i, m := range p.members {
		all[i] = m.Client.Status()
		all[i].InUse = all[i].Up && p.uses(m)
	}
	return all
}

// uses reports whether connections go by m. The caller has the lock.
func (p *Pool) uses(m *member) bool {
	for target, chosen := range p.chosen {
		if chosen == m && (target != "" || len(p.chosen) == 1) {
			return true
		}
	}
	return false
}

// DialContext is Client.DialContext by the best bastion that is up.
func (p *Pool) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return p.dial(ctx, network, addr, false)
}

// DialEarly is Client.DialEarly by the best bastion that is up.
func (p *Pool) DialEarly(ctx context.Context, network, addr string) (net.Conn, error) {
	return p.dial(ctx, network, addr, true)
}

func (p *Pool) dial(ctx context.Context, network, addr string, early bool) (net.Conn, error) {
	if len(p.members) == 1 {
		return p.members[0].dial(ctx, network, addr, early)
	}
	for tried := 0; ; {
		m, changed := p.look(addr)
		if m == nil {
			if err := p.hopeless(); err != nil {
				return nil, err
			}
		} else {
			conn, _, err := m.dialNow(ctx, network, addr, early)
			switch {
			case err == nil:
				return &pooledConn{Conn: conn, member: m, target: addr}, nil
			case isLost(err): // there will be news of it
			case ctx.Err() == nil && m.blame(addr, err) && tried < len(p.members):
				tried++
				continue
			default:
				return nil, err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, p.members[0].waited(context.Cause(ctx))
		case <-p.closed:
			return nil, ErrClosed
		}
	}
}

// hopeless asks all bastions to try again soon, and gives the first one's error
// where none will come back by itself.
func (p *Pool) hopeless() error {
	var first error
	hope := false
	for _, m := range p.members {
		notify(m.wake)
		err := m.Client.Status().Err
		if !isPermanent(err) {
			hope = true
		} else if first == nil {
			first = err
		}
	}
	if hope {
		return nil
	}
	return first
}

// recheck is how often the choice is made anew without news: distances change,
// and who came back is trusted after a while.
const recheck = time.Second

// watch passes news on and tells when the choice falls on another bastion.
func (p *Pool) watch(ctx context.Context) {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	last := make(map[string]*member)
	for {
		p.mu.Lock()
		targets := slices.Collect(maps.Keys(p.chosen))
		p.mu.Unlock()
		var taken *member
		for _, target := range targets {
			m, _ := p.look(target)
			if m != nil && last[target] != nil && m != last[target] {
				taken = m
			}
			last[target] = cmp.Or(m, last[target])
		}
		if taken != nil {
			p.log().Warn("another bastion is taken", "server", taken.Client.Status().Server)
			if p.Moved != nil {
				p.Moved()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.news:
			p.mu.Lock()
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
		}
	}
}

// look chooses the bastion for target for now, nil while all are down, and gives
// what is closed at the next news.
func (p *Pool) look(target string) (*member, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	options := make([]option, len(p.members))
	before := cmp.Or(p.chosen[target], p.chosen[""])
	for i, m := range p.members {
		options[i] = m.option(target, now, p.provenAfter)
	}
	best := choose(options, slices.Index(p.members, before))
	if best < 0 {
		return nil, p.changed
	}
	p.chosen[target] = p.members[best]
	return p.members[best], p.changed
}

func (p *Pool) log() *slog.Logger {
	if p.Logger != nil {
		return p.Logger
	}
	return slog.New(slog.DiscardHandler)
}
