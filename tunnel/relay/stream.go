package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// stream is one TCP connection through the relay: an HTTP/2 request whose body is
// what the owner writes, and the body of its answer, which the owner reads.
type stream struct {
	target string
	cancel context.CancelFunc
	gone   func() bool       // the relay is, and nothing should be written to it
	lost   func(error) error // tells a broken relay from a broken stream

	up     net.Conn // the owner writes here …
	upBody net.Conn // … and the request body is read here

	answered chan struct{} // closed once the relay has answered
	refusal  error         // valid after answered, as down is
	reading  sync.Mutex
	down     inbound

	mu     sync.Mutex
	body   io.Closer // of the answer
	ended  bool
	closed bool  // by the owner
	err    error // why it has ended; nil for a tidy end
}

var _ net.Conn = (*stream)(nil)

func newStream(target string, cancel context.CancelFunc) *stream {
	s := &stream{target: target, cancel: cancel, answered: make(chan struct{})}
	s.up, s.upBody = net.Pipe() // it has the deadlines that a request body lacks
	return s
}

// answer is what the relay said: a body or a refusal.
func (s *stream) answer(body io.ReadCloser, refusal error) {
	s.mu.Lock()
	closed := s.closed
	s.body = body
	s.mu.Unlock()
	if body != nil && closed {
		body.Close()
	}
	s.refusal, s.down.src = refusal, body
	close(s.answered)
	if refusal != nil {
		s.end(refusal)
	}
}

// end stops the other direction too; only the first one counts.
func (s *stream) end(err error) {
	s.mu.Lock()
	first := !s.ended
	s.ended = true
	if first {
		s.err = err
	}
	s.mu.Unlock()
	if first {
		s.upBody.Close()
		s.cancel()
	}
}

// Read returns io.EOF after a tidy end and the reason after any other.
func (s *stream) Read(p []byte) (int, error) {
	<-s.answered
	s.reading.Lock()
	defer s.reading.Unlock()
	n, err := 0, s.refusal
	if err == nil {
		n, err = s.down.read(p)
	}
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		s.end(nil)
	} else {
		s.end(s.lost(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		err = net.ErrClosed
	case s.err != nil:
		err = s.err
	}
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	if s.gone() {
		return 0, ErrClosed
	}
	n, err := s.up.Write(p)
	if !errors.Is(err, io.ErrClosedPipe) {
		return n, err
	}
	if !s.isClosed() {
		<-s.answered // HTTP/2 ends the request before it hands out the answer
		if s.refusal != nil {
			return n, s.refusal
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return n, s.err
	}
	return n, s.lost(net.ErrClosed)
}

// isClosed reports whether the owner has closed it.
func (s *stream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// CloseWrite ends the owner's direction; the other one goes on.
func (s *stream) CloseWrite() error { return s.up.Close() }

// Close ends both directions at once: the relay sees a reset stream.
func (s *stream) Close() error {
	s.mu.Lock()
	s.closed = true
	body := s.body
	s.mu.Unlock()
	s.up.Close()
	s.end(nil)
	if body != nil {
		body.Close()
	}
	return nil
}

func (s *stream) LocalAddr() net.Addr  { return addr("relay") }
func (s *stream) RemoteAddr() net.Addr { return addr(s.target) }

// A read of an answer's body cannot be taken back, as one of an ssh channel
// cannot: Close ends it.
func (s *stream) SetReadDeadline(time.Time) error    { return os.ErrNoDeadline }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.up.SetWriteDeadline(t) }

func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetWriteDeadline(t), s.SetReadDeadline(t))
}
