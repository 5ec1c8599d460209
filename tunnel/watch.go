package tunnel

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// watchedConn notes when bytes last came in: any byte proves that the peer is
// alive, also when the answer to a keepalive waits behind a large one.
type watchedConn struct {
	net.Conn
	heard  atomic.Int64 // time since start, in nanoseconds, of the last read
	silent atomic.Bool  // closed because nothing was heard
	start  time.Time
}

func watch(c net.Conn) *watchedConn { return &watchedConn{Conn: c, start: time.Now()} }

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(int64(time.Since(c.start)))
	}
	return n, err
}

// death tells why a ProxyCommand under the connection ended; nil without one.
func (c *watchedConn) death() error {
	if command, ok := c.Conn.(*commandConn); ok {
		return command.death()
	}
	return nil
}

// quiet is how long nothing was heard.
func (c *watchedConn) quiet() time.Duration {
	return time.Since(c.start) - time.Duration(c.heard.Load())
}

// closeWhenSilent closes the connection once nothing was heard for limit while
// no question was open. It returns then, or when done is closed.
func (c *watchedConn) closeWhenSilent(limit func() time.Duration, asking *atomic.Int32, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if asking.Load() > 0 {
				c.heard.Store(int64(time.Since(c.start)))
			} else if c.quiet() > limit() {
				c.silent.Store(true)
				c.Close()
				return
			}
		}
	}
}

// Keepalive times: a peer that vanished without a word (black hole, power
// loss) is noticed within probeAfter + probeWait.
const (
	probeAfter = 5 * time.Second // of silence, before a keepalive is sent
	probeWait  = 9 * time.Second // for any byte after that

	// After a sleep the network is probably another one: do not wait long.
	wakeWait = 3 * time.Second
	// Timers stop while a machine sleeps, the wall clock does not.
	sleepJump = 10 * time.Second
)

var (
	errNoAnswer = errors.New("no answer to keepalives")
	errSlept    = errors.New("no answer after this machine slept")
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
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	answered := make(chan struct{}, 1)
	var sent time.Time // of the probe under way, zero for none
	after, normal := l.host.aliveTimes()
	wait, reason := normal, fmt.Errorf("%w for %g s", errNoAnswer, (after+normal).Seconds())
	noAnswer := reason
	last := time.Now()
	for {
		select {
		case <-done:
			return nil
		case <-answered:
			sent, wait, reason = time.Time{}, normal, noAnswer
			continue
		case <-tick.C:
		}
		now := time.Now()
		slept := now.Round(0).Sub(last.Round(0)) - now.Sub(last)
		last = now
		if slept > sleepJump {
			wait, reason = min(wait, wakeWait), errSlept
		}
		switch {
		case sent.IsZero() && (l.conn.quiet() > after || slept > sleepJump):
			sent = now
			go probe(l.Client, answered) // ends with its answer or with l
		case !sent.IsZero() && now.Sub(sent) > wait && l.conn.quiet() > wait:
			return reason
		}
	}
}

// probe sends OpenSSH's keepalive; a refusal of it is an answer as good.
func probe(c *ssh.Client, answered chan<- struct{}) {
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err == nil {
		answered <- struct{}{}
	}
}
