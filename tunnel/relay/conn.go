package relay

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// pipeConn makes a net.Conn of a reader and a closer: the hello was read
// through r, so bytes that arrived behind it are still in r's buffer.
type pipeConn struct {
	r    io.Reader
	rw   io.ReadWriteCloser
	once sync.Once
	done chan struct{} // closed by Close

	broke atomic.Bool  // Read failed before Close
	heard atomic.Int64 // when bytes last came in, in Unix nanoseconds
}

var _ net.Conn = (*pipeConn)(nil)

func newPipeConn(r io.Reader, rw io.ReadWriteCloser) *pipeConn {
	c := &pipeConn{r: r, rw: rw, done: make(chan struct{})}
	c.heard.Store(time.Now().UnixNano())
	return c
}

func (c *pipeConn) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	if err != nil {
		select {
		case <-c.done:
		default:
			c.broke.Store(true)
		}
	}
	return n, err
}

// quiet is how long nothing was heard by the wall clock, which goes on while a
// laptop sleeps; the timers of HTTP/2 do not.
func (c *pipeConn) quiet() time.Duration {
	return time.Duration(time.Now().UnixNano() - c.heard.Load())
}

func (c *pipeConn) Write(p []byte) (int, error) { return c.rw.Write(p) }

func (c *pipeConn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.done)
		err = c.rw.Close()
	})
	return err
}

func (c *pipeConn) LocalAddr() net.Addr  { return addr("stdio") }
func (c *pipeConn) RemoteAddr() net.Addr { return addr("stdio") }

// A pipe has no deadlines; HTTP/2 pings find a silent peer instead.
func (c *pipeConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *pipeConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *pipeConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// addr is the name of one end, for net.Conn's sake.
type addr string

func (a addr) Network() string { return "relay" }
func (a addr) String() string  { return string(a) }

// oneConn is a net.Listener that yields one connection, and then waits until
// it is closed: what http.Server.Serve wants to see.
type oneConn struct {
	conn   chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func listenOne(c net.Conn) *oneConn {
	l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- c
	return l
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return addr("stdio") }
