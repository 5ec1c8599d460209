package proxy

import (
	"net"
	"sync"
	"sync/atomic"
)

// maxAhead is the most that an idle connection may hold back; TLS 1.3 session tickets are all that AWS sends unasked.
const maxAhead = 16 << 10

// A rawConn is the connection under TLS. While it lies idle, as a spare or in the pool, a goroutine reads ahead on it, because that is the
// only way to see it die: tunnelled connections have no deadlines, so a read on the TLS level could not be taken back.
type rawConn struct {
	net.Conn
	sent atomic.Int64 // bytes written

	mu       sync.Mutex
	ready    sync.Cond // ahead, err or watching changed
	ahead    []byte    // read but not consumed
	err      error     // the read-ahead's end
	watching bool      // a goroutine reads
	taken    bool      // it is to stop after its present read
}

func newRawConn(c net.Conn) *rawConn {
	raw := &rawConn{Conn: c}
	raw.ready.L = &raw.mu
	return raw
}

func (c *rawConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// Read gives what was read ahead first, then reads itself.
func (c *rawConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.watching && len(c.ahead) == 0 {
		c.ready.Wait()
	}
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		c.mu.Unlock()
		return n, nil
	}
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// watch has the connection read ahead until it ends, which it tells by calling died, or until the first bytes after take.
// Nobody else may read meanwhile. Where it is watched already nothing changes.
func (c *rawConn) watch(work *sync.WaitGroup, died func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watching || c.err != nil || len(c.ahead) >= maxAhead {
		return
	}
	c.watching, c.taken = true, false
	work.Go(func() { c.readAhead(died) })
}

func (c *rawConn) readAhead(died func()) {
	buf := make([]byte, 1<<10) // more than a ticket has
	for {
		n, err := c.Conn.Read(buf)
		c.mu.Lock()
		c.ahead = append(c.ahead, buf[:n]...)
		c.err = err
		taken := c.taken
		c.watching = err == nil && !taken && len(c.ahead) < maxAhead
		again := c.watching
		c.ready.Broadcast()
		c.mu.Unlock()
		if err != nil && !taken {
			died()
		}
		if !again {
			return
		}
	}
}

// take ends the watch and reports whether the connection still lives as far as anybody knows.
func (c *rawConn) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = true
	return c.err == nil
}
