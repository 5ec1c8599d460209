//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// measure measures all peers over a link, in rounds: within a round each load
// goes to one peer after the other, so that they all meet the same moods of the
// machine. They start anew for each round. A connection's TCP remembers a bad
// moment for long, and would carry it from one round to the next.
func (s *scene) measure(ctx context.Context, c condition, r *results) error {
	start := time.Now()
	if err := s.setLink(c); err != nil {
		return err
	}
	floor, err := s.roundTrip(ctx)
	if err != nil {
		return err
	}
	r.begin(c, floor)
	for round := range s.options.rounds {
		if err := s.round(ctx, c, round, r); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "bench: %s: round %d of %d done after %.0f s\n", c, round+1, s.options.rounds, time.Since(start).Seconds())
	}
	return nil
}

func (s *scene) round(ctx context.Context, c condition, round int, r *results) error {
	names := s.options.peers
	if len(r.conditions) > 1 {
		// Who does not use the link has been measured.
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == onBastion })
	}
	defer s.endPeers()
	if err := s.startPeers(ctx, names); err != nil {
		return err
	}
	wait(ctx, 2*time.Second) // what they do at their start is not measured
	s.memory(r, "at start")
	for _, l := range loads {
		if !slices.Contains(c.loads, l.name) {
			continue
		}
		if l.name == "burst" {
			wait(ctx, s.options.idle)
			s.memory(r, "idle")
		}
		if err := s.turns(ctx, c, l, round, r); err != nil {
			return err
		}
	}
	return nil
}

// startPeers brings peers up, all at once.
func (s *scene) startPeers(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := s.openDoor(name); err != nil {
			return err
		}
	}
	peers, errs := make([]*peer, len(names)), make([]error, len(names))
	var starting sync.WaitGroup
	start := func(i int) { peers[i], errs[i] = s.start(ctx, names[i]) }
	for i, name := range names {
		if !isDDBProxy(name) {
			starting.Go(func() { start(i) })
		}
	}
	for i, name := range names {
		if isDDBProxy(name) { // one by one: the first uploads the relay
			start(i)
		}
	}
	starting.Wait()
	for i, name := range names {
		switch {
		case errs[i] == nil:
			s.peers = append(s.peers, peers[i])
		case ctx.Err() != nil:
			return ctx.Err()
		case isDDBProxy(name) || name == onBastion:
			return errs[i]
		default: // a rival that cannot run here is no reason not to measure the rest
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", name, errs[i])
		}
	}
	return nil
}

// tooLong is what a turn may take in excess: calls are cut then, and have failed.
const tooLong = 30 * time.Second

// turns gives each peer a turn with a load; another begins each round.
func (s *scene) turns(ctx context.Context, c condition, l load, round int, r *results) error {
	for i := range s.peers {
		p := s.peers[(i+round)%len(s.peers)]
		run := l.run
		if l.name == "connect" {
			if run = connects(p.name); run == nil {
				continue
			}
		}
		w := c.window(s.options.turn)
		turn, cancel := context.WithTimeout(ctx, w.warm+w.measured+tooLong)
		began := time.Now()
		m, err := run(turn, s, p, w)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.options.verbose {
			fmt.Fprintf(os.Stderr, "bench: %s: %s: %s: %.1f s\n", c, l.name, p.name, time.Since(began).Seconds())
		}
		if err != nil {
			p.complain(fmt.Errorf("%s: %w", l.name, err), 1)
			m = metrics{failed: 1}
		}
		r.add(l.name, p.name, m)
		p.settle(ctx)
	}
	return nil
}

// settle waits until a peer has worked off what its turn left behind: the next one
// would have it to bear. sshuttle takes seconds after 256 calls in flight.
func (p *peer) settle(ctx context.Context) {
	const look = 100 * time.Millisecond
	pids := append(p.onLaptop(), p.onBastion()...)
	for end := time.Now().Add(tooLong); time.Now().Before(end) && ctx.Err() == nil; {
		before := cpuTime(pids)
		wait(ctx, look)
		if cpuTime(pids)-before < look/20 {
			return
		}
	}
}

func (p *peer) complain(err error, n int) {
	fmt.Fprintf(os.Stderr, "bench: %s: %d calls failed, the first: %v\n", p.name, n, err)
}

func (s *scene) endPeers() {
	var ending sync.WaitGroup
	for _, p := range s.peers {
		ending.Go(p.end)
	}
	ending.Wait()
	s.peers = nil
}

// memory notes what ddbproxy and its relay hold, when nothing is asked of them.
func (s *scene) memory(r *results, when string) {
	for _, p := range s.peers {
		if !isDDBProxy(p.name) {
			continue
		}
		m := metrics{clientMB: float64(rss(p.onLaptop())) / 1e6}
		bastion := p.onBastion()
		if relays := append(named(bastion, "relay-"), named(bastion, "ddbproxy-relay")...); len(relays) > 0 {
			m[relayMB] = float64(rss(relays)) / 1e6
		}
		r.add(when, p.name, m)
	}
}

// connects measures how long a program takes from its start to the first answer,
// for ddbproxy, and for ssh as the least that a login takes; nil for others.
func connects(name string) func(context.Context, *scene, *peer, window) (metrics, error) {
	once := sshTrue
	switch {
	case isDDBProxy(name):
		once = firstAnswer
	case name != sshL:
		return nil
	}
	return func(ctx context.Context, s *scene, p *peer, _ window) (metrics, error) {
		var times []time.Duration
		for range 2 {
			took, err := once(ctx, s, p)
			if err != nil {
				return nil, err
			}
			times = append(times, took)
		}
		return timesOf(times), nil
	}
}

// firstAnswer starts a further ddbproxy; its relay is on the bastion already.
func firstAnswer(ctx context.Context, s *scene, p *peer) (time.Duration, error) {
	const at = "8999"
	start := time.Now()
	session, err := s.connect(ctx, p.name, p.door, at)
	if err != nil {
		return 0, err
	}
	defer session.stop()
	q := &peer{name: p.name, url: "http://localhost:" + at}
	q.dial = s.toLaptop("127.0.0.1:" + at)
	err = s.oneCall(ctx, q, "GetItem", getItem)
	return time.Since(start), err
}

func sshTrue(ctx context.Context, s *scene, p *peer) (time.Duration, error) {
	cmd := s.Command(ctx, lab.Laptop, "/usr/bin/ssh", "-F", p.door.ClientConfig, lab.BastionName, "true")
	var said bytes.Buffer
	cmd.Stderr = &said
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, errors.New(err.Error() + ": " + said.String())
	}
	return time.Since(start), nil
}
