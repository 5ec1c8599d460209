package lab

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// LinkConfig says what an emulated link is like. The zero value is a perfect
// link.
type LinkConfig struct {
	// RTT is the round-trip time; each way takes half of it.
	RTT time.Duration
	// Rate is the speed of each way in bit/s; 0 is unlimited.
	Rate int64
	// Loss is the probability from 0 to 1 that a packet is lost, in each way.
	Loss float64
	// Queue is how many bytes may wait for a link with a Rate before it drops
	// the newest; 0 is what 100 ms at that rate hold, and at least 64 KiB.
	Queue int
	// Seed makes the losses repeatable.
	Seed uint64
}

// LinkStats counts what a link has done, both ways together unless it says so.
type LinkStats struct {
	Bytes   int64 // IP bytes carried to the other end
	Most    int64 // bytes on their way at the same moment, the most so far in one of the ways
	Dropped int64 // packets lost to Loss, a full Queue, BlackHole or Forget
}

// Link is an emulated line between two machines. Its methods may be called at
// any time, by any goroutine; packets already on their way keep their time.
type Link struct {
	ends [2]*tun
	ways [2]*way
	wg   sync.WaitGroup
	nat  nat

	mu     sync.Mutex
	config LinkConfig

	bytes, dropped atomic.Int64
}

// newLink makes a device of the given name in both namespaces and carries
// packets between them until close. The link is perfect until set.
func newLink(a, b *namespace, name string, seed uint64) (_ *Link, err error) {
	l := new(Link)
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	for i, ns := range []*namespace{a, b} {
		if l.ends[i], err = openTUN(ns, name); err != nil {
			return nil, err
		}
	}
	for i := range l.ways {
		w, err := newWay(l, l.ends[i], l.ends[1-i], seed+uint64(i))
		if err != nil {
			return nil, err
		}
		l.ways[i] = w
	}
	if err := l.apply(); err != nil {
		return nil, err
	}
	for _, w := range l.ways {
		l.wg.Go(w.take)
		l.wg.Go(w.deliver)
	}
	return l, nil
}

func (l *Link) set(config LinkConfig) error {
	return l.change(func(c *LinkConfig) { *c = config })
}

// SetRTT changes the round-trip time. Packets never overtake: after a cut the
// first ones still come behind those sent before.
func (l *Link) SetRTT(d time.Duration) error {
	return l.change(func(c *LinkConfig) { c.RTT = d })
}

// SetRate changes the speed of each way, in bit/s; 0 is unlimited.
func (l *Link) SetRate(bitsPerSecond int64) error {
	return l.change(func(c *LinkConfig) { c.Rate = bitsPerSecond })
}

// SetLoss changes the probability that a packet is lost.
func (l *Link) SetLoss(p float64) error {
	return l.change(func(c *LinkConfig) { c.Loss = p })
}

// BlackHole makes the link swallow everything without a word, as a laptop that
// left its network does, including what is on its way; false mends it.
func (l *Link) BlackHole(on bool) {
	for _, w := range l.ways {
		w.mu.Lock()
		w.hole = on
		w.mu.Unlock()
	}
}

// Stats returns the counts so far.
func (l *Link) Stats() LinkStats {
	s := LinkStats{Bytes: l.bytes.Load(), Dropped: l.dropped.Load()}
	for _, w := range l.ways {
		w.mu.Lock()
		s.Most = max(s.Most, w.most)
		w.mu.Unlock()
	}
	return s
}

func (l *Link) change(f func(*LinkConfig)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.config)
	return l.apply()
}

// apply puts config into effect.
func (l *Link) apply() error {
	queue := l.config.Queue
	if queue == 0 {
		queue = max(int(l.config.Rate/8/10), 64<<10)
	}
	for i, w := range l.ways {
		w.mu.Lock()
		w.delay, w.rate, w.loss, w.queue = l.config.RTT/2, l.config.Rate, l.config.Loss, queue
		w.mu.Unlock()
		if err := l.ends[i].setOffload(l.config.Rate == 0 && l.config.Loss == 0); err != nil {
			return err
		}
	}
	return nil
}

// close takes the devices away and waits for the goroutines.
func (l *Link) close() error {
	var errs []error
	for _, t := range l.ends {
		if t != nil {
			errs = append(errs, t.Close())
		}
	}
	for _, w := range l.ways {
		if w != nil {
			errs = append(errs, w.alarm.close())
		}
	}
	l.wg.Wait()
	return errors.Join(errs...)
}
