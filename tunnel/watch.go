package tunnel

import (
	"net"
	"sync/atomic"
	"time"
)

// watchedConn notes when bytes last came in: any byte proves that the peer is
// alive, also when the answer to a keepalive waits behind a large one.
type watchedConn struct {
	net.Conn
	heard  atomic.Int64 // time since start, in nanoseconds, of the last read
	silent atomic.Bool  // closed because nothing was heard
	start  time.Time
	spoke  chan struct{} // told of the server's global requests
}

func watch(c net.Conn) *watchedConn {
	return &watchedConn{Conn: c, start: time.Now(), spoke: make(chan struct{}, 1)}
}

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
