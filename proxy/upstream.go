package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// handshakeTimeout bounds one TLS handshake, so that a connection which stalls leaves time to try another.
	handshakeTimeout = 10 * time.Second
	// idleTimeout is below the 60 s after which DynamoDB has been seen to close idle connections.
	idleTimeout = 50 * time.Second
)

// deadlineKey carries a request's dial deadline to dialUpstream: http.Transport keeps the values of a request's context
// for the dial, but not its end, since another request may use the connection.
type deadlineKey struct{}

// newTransport returns the pool of connections to AWS. DisableCompression, because net/http would ask for gzip where the
// caller did not and unpack it, and X-Amz-Crc32 covers the bytes on the wire; Server.Compress minds that. Proxy stays nil,
// because HTTPS_PROXY may name this very process. HTTP/1.1, because a non-nil DialTLSContext without ForceAttemptHTTP2
// makes it so.
func (s *Server) newTransport() *http.Transport {
	return &http.Transport{
		DialTLSContext:      s.dialUpstream,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 512,
		IdleConnTimeout:     idleTimeout,
	}
}

// dialUpstream gives the transport a connection: a spare one that is ready, or a new one.
func (s *Server) dialUpstream(ctx context.Context, _, addr string) (net.Conn, error) {
	if !s.enter() {
		return nil, http.ErrServerClosed
	}
	defer s.active.Done()
	if c := s.spares.take(addr); c != nil {
		return c, nil
	}
	deadline, ok := ctx.Value(deadlineKey{}).(time.Time)
	if !ok {
		deadline = time.Now().Add(s.hold())
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	stop := context.AfterFunc(s.life, cancel)
	defer stop()
	c, err := s.dialTLS(ctx, addr)
	if err != nil {
		return nil, err // not c: a nil *upstreamConn in a net.Conn is not nil
	}
	return c, nil
}

// dialTLS opens a connection to addr ("host:443") and proves that the far end is AWS. ctx bounds both.
func (s *Server) dialTLS(ctx context.Context, addr string) (*upstreamConn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &dialError{err}
	}
	dial := s.dial
	if s.DialEarly != nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) { return s.DialEarly(ctx, "tcp", addr) }
	}
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	raw := newRawConn(conn)
	secure := tls.Client(raw, &tls.Config{
		ServerName:         host,
		RootCAs:            s.RootCAs,
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: s.sessions,
	})
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close() // the handshake's error is the one that counts
		return nil, &handshakeError{host, err}
	}
	return &upstreamConn{Conn: secure, raw: raw}, nil
}

func (s *Server) dial(ctx context.Context, addr string) (net.Conn, error) {
	if s.Dial == nil {
		return nil, errNoDial
	}
	return s.Dial(ctx, "tcp", addr)
}

// An upstreamConn is a TLS connection to AWS that knows whether anything of a request has left on it.
type upstreamConn struct {
	net.Conn
	raw *rawConn

	mu     sync.Mutex
	writes int64 // begun, less those that put no byte on the wire
	sealed bool
}

// Write does not count a write to a connection already known dead: it sent nothing, so the request may go elsewhere.
func (c *upstreamConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.sealed {
		c.mu.Unlock()
		return 0, net.ErrClosed
	}
	c.writes++
	c.mu.Unlock()
	before := c.raw.sent.Load()
	n, err := c.Conn.Write(p)
	if err != nil && c.raw.sent.Load() == before {
		c.mu.Lock()
		c.writes--
		c.mu.Unlock()
	}
	return n, err
}

// written returns the number of writes so far.
func (c *upstreamConn) written() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// seal ends the connection's use for writing and returns the number of writes, for good: http.Transport may report that a
// round trip failed while its writing goroutine has yet to run.
func (c *upstreamConn) seal() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed = true
	return c.writes
}
