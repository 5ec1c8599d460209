//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// Names of what is measured.
const (
	p50        = "p50 ms"
	p99        = "p99 ms"
	rate       = "calls/s"
	throughput = "MB/s"
	alone99    = "alone p99 ms"
	beside50   = "beside p50 ms"
	beside99   = "beside p99 ms"
	last       = "last ms"
	cpuLaptop  = "laptop CPU"
	cpuBastion = "bastion CPU"
	clientMB   = "client MB" // resident, of ddbproxy
	relayMB    = "relay MB"  // resident, of its relay
	failed     = "failed"
)

// metrics are what one turn of one peer gives.
type metrics map[string]float64

// load is what the clients do.
type load struct {
	name string
	what string
	run  func(ctx context.Context, s *scene, p *peer, w window) (metrics, error)
}

// window is how long a turn takes: warm is not measured.
type window struct{ warm, measured time.Duration }

// loads are in the order in which they are run: those that overload last.
var loads = []load{
	{"cli", "one call at a time, each over a client connection of its own", cliCalls},
	{"get1", "GetItem, 1 in flight", closedLoop("GetItem", getItem, 1)},
	{"get16", "GetItem, 16 in flight", closedLoop("GetItem", getItem, 16)},
	{"get64", "GetItem, 64 in flight", closedLoop("GetItem", getItem, 64)},
	{"scan1", "Scan pages of 1 MB, 1 in flight", closedLoop("Scan", scan, 1)},
	{"scan8", "Scan pages of 1 MB, 8 in flight", closedLoop("Scan", scan, 8)},
	{"write12k", "BatchWriteItem of 12 KB, 8 in flight", closedLoop("BatchWriteItem", batch(12<<10), 8)},
	{"write400k", "PutItem of 400 KB, 8 in flight", closedLoop("PutItem", bigItem(400<<10), 8)},
	{"mixed", "GetItem, 8 in flight, alone and beside 4 Scan pages in flight", mixed},
	{"get256", "GetItem, 256 in flight", closedLoop("GetItem", getItem, 256)},
	{"scan32", "Scan pages of 1 MB, 32 in flight", closedLoop("Scan", scan, 32)},
	{"connect", "from the start of the program to the first answer; ssh: ssh HOST true", nil},
	{"burst", "16 calls at once over fresh client connections, after idle time", burst},
}

var scan = []byte(`{"TableName":"bench","Limit":10000}`)

// cliCalls makes one call after the other over fresh connections.
func cliCalls(ctx context.Context, s *scene, p *peer, w window) (metrics, error) {
	c, err := s.call(p, "GetItem", getItem)
	if err != nil {
		return nil, err
	}
	if _, err := c.fresh(ctx, p); err != nil {
		return nil, err
	}
	var times []time.Duration
	usage := p.usage()
	for start := time.Now(); time.Since(start) < w.measured || len(times) < 7; {
		took, err := c.fresh(ctx, p)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	m := timesOf(times)
	usage.per(m, float64(len(times)))
	return m, nil
}

// leastCalls is how many answers a turn has at least: over a thin link a page may take as long as a whole turn.
const leastCalls = 10

// closedLoop keeps n calls in flight.
func closedLoop(op string, body []byte, n int) func(context.Context, *scene, *peer, window) (metrics, error) {
	return func(ctx context.Context, s *scene, p *peer, w window) (metrics, error) {
		c, err := s.call(p, op, body)
		if err != nil {
			return nil, err
		}
		t, err := s.openConnections(ctx, p, n)
		if err != nil {
			return nil, err
		}
		defer t.CloseIdleConnections()
		l := &loop{call: c, peer: p, transport: t}
		l.start(ctx, n)
		defer l.stop()
		wait(ctx, w.warm)
		usage := p.usage()
		m := l.measure(ctx, w.measured, max(n, leastCalls))
		if op == "Scan" {
			usage.per(m, l.megabytes)
		} else {
			usage.per(m, l.calls)
			delete(m, throughput)
		}
		return m, ctx.Err()
	}
}

// openConnections makes n calls at once, so that a new client has the connections
// that it will need. It has them for a turn only: sshuttle's work for each packet
// grows with the connections that are open, whether they do anything or not.
func (s *scene) openConnections(ctx context.Context, p *peer, n int) (*http.Transport, error) {
	c, err := s.call(p, "GetItem", getItem)
	if err != nil {
		return nil, err
	}
	t := p.newTransport()
	errs := make(chan error, n)
	for range n {
		go func() { errs <- c.do(ctx, t, nil) }()
	}
	for range n {
		if e := <-errs; e != nil {
			err = fmt.Errorf("open %d connections: %w", n, e)
		}
	}
	if err != nil {
		t.CloseIdleConnections()
	}
	return t, err
}

// loop is a closed loop of workers, of which some time is measured.
type loop struct {
	call      *call
	peer      *peer
	transport *http.Transport

	received atomic.Int64
	workers  sync.WaitGroup
	stopping atomic.Bool

	mu     sync.Mutex
	times  []time.Duration // since the measuring began
	errors []error

	calls, megabytes float64 // of the last measure
}

func (l *loop) start(ctx context.Context, n int) {
	for range n {
		l.workers.Go(func() {
			for !l.stopping.Load() && ctx.Err() == nil {
				began := time.Now()
				err := l.call.do(ctx, l.transport, &l.received)
				l.mu.Lock()
				if err != nil {
					l.errors = append(l.errors, err)
				} else {
					l.times = append(l.times, time.Since(began))
				}
				l.mu.Unlock()
				if err != nil {
					wait(ctx, 50*time.Millisecond)
				}
			}
		})
	}
}

// stop lets the calls in flight end: cut ones would leave their answers in the
// tunnel, for the next peer's turn to suffer from.
func (l *loop) stop() {
	l.stopping.Store(true)
	l.workers.Wait()
}

// measure takes at least d, and at least as long as n calls need, up to 5 s.
func (l *loop) measure(ctx context.Context, d time.Duration, n int) metrics {
	l.mu.Lock()
	l.times, l.errors = nil, nil
	l.mu.Unlock()
	start, before := time.Now(), l.received.Load()
	for {
		wait(ctx, d)
		l.mu.Lock()
		done := len(l.times)
		l.mu.Unlock()
		if done >= n || ctx.Err() != nil || time.Since(start) > 5*time.Second {
			break
		}
		d = 50 * time.Millisecond
	}
	took := time.Since(start).Seconds()
	l.megabytes = float64(l.received.Load()-before) / 1e6
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = float64(len(l.times))
	m := timesOf(slices.Clone(l.times))
	m[rate] = l.calls / took
	m[throughput] = l.megabytes / took
	if len(l.errors) > 0 {
		m[failed] = float64(len(l.errors))
		l.peer.complain(l.errors[0], len(l.errors))
	}
	return m
}

// mixed measures small reads alone, then beside scans.
func mixed(ctx context.Context, s *scene, p *peer, w window) (metrics, error) {
	get, err := s.call(p, "GetItem", getItem)
	if err != nil {
		return nil, err
	}
	pages, err := s.call(p, "Scan", scan)
	if err != nil {
		return nil, err
	}
	t, err := s.openConnections(ctx, p, 12)
	if err != nil {
		return nil, err
	}
	defer t.CloseIdleConnections()
	small, large := &loop{call: get, peer: p, transport: t}, &loop{call: pages, peer: p, transport: t}
	defer small.stop()
	defer large.stop()
	small.start(ctx, 8)
	wait(ctx, w.warm)
	alone := small.measure(ctx, w.measured, 50)
	large.start(ctx, 4)
	wait(ctx, w.warm)
	before := large.received.Load()
	start := time.Now()
	beside := small.measure(ctx, w.measured, 50)
	m := metrics{throughput: float64(large.received.Load()-before) / 1e6 / time.Since(start).Seconds()}
	for from, to := range map[string]string{p50: beside50, p99: beside99} {
		if v, ok := beside[from]; ok {
			m[to] = v
		}
	}
	if v, ok := alone[p99]; ok {
		m[alone99] = v
	}
	return m, ctx.Err()
}

// burst makes 16 calls at once, each over a client connection of its own.
func burst(ctx context.Context, s *scene, p *peer, _ window) (metrics, error) {
	c, err := s.call(p, "GetItem", getItem)
	if err != nil {
		return nil, err
	}
	const n = 16
	times, errs := make([]time.Duration, n), make([]error, n)
	var all sync.WaitGroup
	start := time.Now()
	for i := range n {
		all.Go(func() {
			_, errs[i] = c.fresh(ctx, p)
			times[i] = time.Since(start)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m := timesOf(times)
	m[last] = milliseconds(slices.Max(times))
	return m, nil
}

func timesOf(times []time.Duration) metrics {
	slices.Sort(times)
	m := metrics{}
	if len(times) > 0 {
		m[p50] = milliseconds(lab.Percentile(times, 50))
	}
	// Of fewer, the 99th percentile is the greatest, and that is mostly chance.
	if len(times) >= 50 {
		m[p99] = milliseconds(lab.Percentile(times, 99))
	}
	return m
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// wait returns early when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
