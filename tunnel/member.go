package tunnel

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// provenAfter is how long a bastion must have been up before connections
	// are taken away from another one that is well.
	provenAfter = 10 * time.Second
	// A bastion that cannot reach AWS is left alone for a while, each time
	// longer.
	minSick = 15 * time.Second
	maxSick = 5 * time.Minute
)

// member is a bastion of a Pool.
type member struct {
	*Client

	mu       sync.Mutex
	troubles map[string]trouble // by what cannot be reached
}

// trouble is that a bastion cannot reach one target.
type trouble struct {
	until time.Time // it is not asked to
	spell time.Duration
}

// option is what the choice is made by.
type option struct {
	up, well, proven bool
	rtt              time.Duration // 0: not known
}

// option describes m for connections to target.
func (m *member) option(target string, now time.Time, provenAfter time.Duration) option {
	st := m.Client.Status()
	m.mu.Lock()
	defer m.mu.Unlock()
	return option{st.Up, now.After(m.troubles[target].until), now.Sub(st.Since) >= provenAfter, st.RTT}
}

// choose returns the index of the bastion to take, -1 when none is up: the
// first of the near ones. Those are near whose distance differs little from
// the nearest's. The present choice is borne with at a greater difference, and
// left for one that is proven only.
func choose(options []option, present int) int {
	may := func(o option) bool { return o.up && o.well }
	some := func(may func(option) bool) bool {
		for _, o := range options {
			if may(o) {
				return true
			}
		}
		return false
	}
	if !some(may) {
		may = func(o option) bool { return o.up }
	}
	if present >= 0 && may(options[present]) {
		options[present].proven = true
	}
	if any := may; some(func(o option) bool { return any(o) && o.proven }) {
		may = func(o option) bool { return any(o) && o.proven }
	}
	var nearest time.Duration
	for _, o := range options {
		if may(o) && o.rtt > 0 && (nearest == 0 || o.rtt < nearest) {
			nearest = o.rtt
		}
	}
	for i, o := range options {
		near := o.rtt <= nearest+nearest/3+5*time.Millisecond
		if i == present {
			near = o.rtt <= 2*nearest+10*time.Millisecond
		}
		if may(o) && near {
			return i
		}
	}
	return -1
}

// blame leaves m alone with target for a while where err tells that the bastion
// is well and cannot reach it. It reports whether that is so.
func (m *member) blame(target string, err error) bool {
	var e interface{ Hop() string }
	if err == nil || isLost(err) || !errors.As(err, &e) || e.Hop() == "ssh" || e.Hop() == "local" {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now, t := time.Now(), m.troubles[target]; now.After(t.until) {
		if m.troubles == nil {
			m.troubles = make(map[string]trouble)
		}
		spell := min(max(2*t.spell, minSick), maxSick)
		m.troubles[target] = trouble{now.Add(spell), spell}
	}
	return true
}

// praise ends what blame began.
func (m *member) praise(target string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.troubles, target)
}

// pooledConn notes by its first Read how its bastion is: a relay's refusal of
// an early dial comes there.
type pooledConn struct {
	net.Conn
	member *member
	target string
	known  atomic.Bool
}

func (c *pooledConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if (n > 0 || err != nil) && !c.known.Swap(true) {
		if n > 0 {
			c.member.praise(c.target)
		} else {
			c.member.blame(c.target, err)
		}
	}
	return n, err
}

// CloseWrite ends one direction where the carrier can.
func (c *pooledConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
