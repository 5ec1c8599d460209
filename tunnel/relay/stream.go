package relay

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// stream is one TCP connection through the relay. Each direction is one half
// of a net.Pipe between the owner and the HTTP/2 request: that gives the
// deadlines that request and response bodies lack.
type stream struct {
	target string
	cancel context.CancelFunc
	gone   func() bool // the relay is, and nothing should be written to it

	up     net.Conn // the owner writes here …
	upBody net.Conn // … and the request body is read here
	down   net.Conn // the owner reads here …
	downIn net.Conn // … what the response body brought

	answered chan struct{} // closed once the relay has answered
	refusal  error         // valid after answered

	once sync.Once // for end
	mu   sync.Mutex
	err  error // why downIn was closed; nil for a tidy end
}

var _ net.Conn = (*stream)(nil)

func newStream(target string, cancel context.CancelFunc, gone func() bool) *stream {
	s := &stream{target: target, cancel: cancel, gone: gone, answered: make(chan struct{})}
	s.up, s.upBody = net.Pipe()
	s.down, s.downIn = net.Pipe()
	return s
}

// end is the last act of the goroutine that carries the stream, or comes before
// when the Client is closed.
func (s *stream) end(err error) {
	s.once.Do(func() {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		s.downIn.Close()
		s.upBody.Close()
		s.cancel()
	})
}

// Read returns io.EOF after a tidy end and the reason after any other.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.down.Read(p)
	if err == io.EOF {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err != nil {
			return n, s.err
		}
	}
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	if s.gone() {
		return 0, ErrClosed
	}
	n, err := s.up.Write(p)
	if err == io.ErrClosedPipe {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err != nil {
			return n, s.err
		}
		return n, net.ErrClosed
	}
	return n, err
}

// CloseWrite ends the owner's direction; the other one goes on.
func (s *stream) CloseWrite() error { return s.up.Close() }

// Close ends both directions at once: the relay sees a reset stream.
func (s *stream) Close() error {
	s.cancel()
	s.up.Close()
	return s.down.Close()
}

func (s *stream) LocalAddr() net.Addr  { return addr("relay") }
func (s *stream) RemoteAddr() net.Addr { return addr(s.target) }

func (s *stream) SetDeadline(t time.Time) error {
	s.up.SetWriteDeadline(t)
	return s.down.SetReadDeadline(t)
}
func (s *stream) SetReadDeadline(t time.Time) error  { return s.down.SetReadDeadline(t) }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.up.SetWriteDeadline(t) }
