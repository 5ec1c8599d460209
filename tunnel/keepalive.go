package tunnel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// Keepalive times: a peer that vanished without a word (black hole, power
// loss) is noticed within 15 s, which are probeAfter, probeWait and a tick of a
// second after each.
const (
	probeAfter = 5 * time.Second // of silence, before a keepalive is sent
	probeWait  = 8 * time.Second // for any byte after that

	// After a sleep, or when this machine's network changed, the connection is
	// probably dead: do not wait long.
	wakeWait = 3 * time.Second
	// Timers stop while a machine sleeps, the wall clock does not.
	sleepJump = 10 * time.Second
)

var (
	errNoAnswer = errors.New("no answer to keepalives")
	errSlept    = errors.New("no answer after this machine slept")
	errChanged  = errors.New("no answer after this machine's network changed")
	errMoved    = errors.New("this machine lost the address that the connection came from")
)

// aliveTimes are h's keepalive times. ServerAliveInterval may shorten ours and
// not lengthen them: most who set it want idle connections kept (60 s is
// common), not to wait four minutes for a dead one to be noticed.
func (h *host) aliveTimes() (after, wait time.Duration) {
	after, wait = probeAfter, probeWait
	if h.AliveInterval > 0 {
		after = min(after, h.AliveInterval)
		wait = min(wait, h.AliveInterval*time.Duration(max(1, h.AliveCountMax)))
	}
	return after, wait
}

// keepalive probes l while it is quiet and returns why it is given up, or nil
// when done is closed. SendRequest has no deadline of its own and blocks for
// ever on a dead peer, holding a lock (golang/go#19338): so it runs apart, and
// the caller ends it by closing the connection.
func keepalive(l *link, done <-chan struct{}) error {
	watching, stop := context.WithCancel(context.Background())
	defer stop()
	network := watchNetwork(watching)
	had := hasAddress(l.local()) // not so with AnyIP, or all of 127.0.0.0/8
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	answered := make(chan time.Time, 1)
	after, normal := l.host.aliveTimes()
	noAnswer := fmt.Errorf("%w for %g s", errNoAnswer, (after + normal).Seconds())
	wait, reason := normal, noAnswer
	var sent time.Time // of the probe under way, zero for none
	began := time.Now()
	both := clocks{wall: began}
	for {
		now, doubt := time.Time{}, error(nil)
		select {
		case <-done:
			return nil
		case at := <-answered:
			l.measured(at.Sub(sent))
			sent, wait, reason = time.Time{}, normal, noAnswer
			continue
		case <-l.conn.spoke:
			// sshd tells its host keys at first, and what it says next waits until
			// they are acknowledged (Nagle), which our kernel puts off by 40 ms
			// unless a packet of ours takes the acknowledgement along. The probe
			// also measures the way.
			if now = time.Now(); l.rtt.Load() > 0 {
				continue
			}
		case <-network:
			if had && !hasAddress(l.local()) {
				return errMoved
			}
			now, doubt = time.Now(), errChanged
		case <-tick.C:
			now = time.Now()
			if both.slept(now, now.Sub(began)) {
				doubt = errSlept
			}
		}
		if doubt != nil {
			wait, reason = min(wait, wakeWait), doubt
		}
		switch {
		case sent.IsZero() && (doubt != nil || l.rtt.Load() == 0 || l.conn.quiet() > after):
			sent = now
			l.work.Go(func() { probe(l.Client, answered) }) // ends with its answer or with l
		case !sent.IsZero() && now.Sub(sent) > wait && l.conn.quiet() > wait:
			return reason
		}
	}
}

// clocks tells by two clocks whether this machine slept: the wall clock goes on
// then, the monotonic one does not (on Linux, macOS and Windows alike).
type clocks struct {
	wall    time.Time
	running time.Duration
}

// slept reports whether the machine slept since the last call.
func (c *clocks) slept(wall time.Time, running time.Duration) bool {
	jump := wall.Round(0).Sub(c.wall.Round(0)) - (running - c.running)
	c.wall, c.running = wall, running
	return jump > sleepJump
}

// probe sends OpenSSH's keepalive; a refusal of it is an answer as good.
func probe(c *ssh.Client, answered chan<- time.Time) {
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err == nil {
		answered <- time.Now()
	}
}
