package tunnel

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// link is an ssh connection and what it stands on.
type link struct {
	*ssh.Client
	host  *host
	conn  *watchedConn // the byte stream under this very connection
	under *link        // the jump host's, nil without
	doubt func()       // puts its address behind others of the name; nil without

	// Below: of a link that is attended.
	gone chan struct{} // closed when the connection is over
	err  error         // why; valid after gone
	rtt  atomic.Int64  // nanoseconds to the far end and back, 0: not yet known
	work sync.WaitGroup
}

// attend watches over the connection: gone tells its end, rtt its length.
func (l *link) attend() {
	l.gone = make(chan struct{})
	stop := make(chan struct{})
	lost := make(chan error, 2) // one for each of those who wait below
	l.work.Go(func() { lost <- keepalive(l, stop) })
	l.work.Go(func() { lost <- l.Wait() })
	l.work.Go(func() {
		l.err = <-lost
		if dead := l.conn.death(); dead != nil {
			l.err = dead
		} else if l.err == nil || errors.Is(l.err, io.EOF) {
			l.err = errors.New("the bastion closed the connection")
		}
		if errors.Is(l.err, errNoAnswer) && l.doubt != nil {
			l.doubt()
		}
		close(stop)
		l.cut()
		close(l.gone)
	})
}

// cut ends the connection at once. The byte stream comes first: a channel's own
// close could block on a dead peer.
func (l *link) cut() {
	l.conn.Close()
	l.Client.Close()
	if l.under != nil {
		l.under.cut()
	}
}

// Close ends the connection and waits for those who attend it.
func (l *link) Close() {
	l.cut()
	l.work.Wait()
}

// local is this machine's address on the way to the bastion, nil where a
// ProxyCommand has it.
func (l *link) local() net.IP {
	for l.under != nil {
		l = l.under
	}
	if a, ok := l.conn.LocalAddr().(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		return a.IP
	}
	return nil
}

// distance is the round trip to the far end, 0 where it is not known yet.
func (l *link) distance() time.Duration { return time.Duration(l.rtt.Load()) }

// measured takes one more measurement of the round trip into account: a longer one
// as TCP does (RFC 6298, section 2), a shorter one at once. What exceeds the
// distance is a busy machine's doing, such as the first is often measured by.
func (l *link) measured(d time.Duration) {
	if old := l.distance(); old > 0 && d > old {
		d = old + (d-old)/8
	}
	l.rtt.Store(int64(max(d, 1)))
}
