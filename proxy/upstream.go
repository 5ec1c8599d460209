package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// handshakeTimeout bounds one TLS handshake, so that a connection which stalls leaves time to try another.
const handshakeTimeout = 10 * time.Second

// newPool returns an empty pool of connections to AWS.
func (s *Server) newPool() *pool {
	return &pool{dial: s.dialUpstream, work: &s.pooled}
}

// lend returns a connection to addr, by the deadline or, where it was not to be had, a moment later, and whether it was used
// before.
func (s *Server) lend(ctx context.Context, addr string, deadline time.Time) (c *upstreamConn, used bool, err error) {
	p := s.pool.Load()
	if c = p.take(addr); c != nil {
		return c, true, nil
	}
	if c = s.spares.take(addr); c != nil {
		c.pool = p
		return c, false, nil
	}
	c, err = p.borrow(ctx, addr, deadline)
	return c, false, err
}

// dialUpstream opens a connection for the pool.
func (s *Server) dialUpstream(deadline time.Time, addr string) (*upstreamConn, error) {
	if !s.enter() {
		return nil, http.ErrServerClosed
	}
	defer s.active.Done()
	ctx, cancel := context.WithDeadline(s.life, deadline)
	defer cancel()
	return s.dialTLS(ctx, addr)
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
	return newUpstreamConn(secure, raw, addr), nil
}

func (s *Server) dial(ctx context.Context, addr string) (net.Conn, error) {
	if s.Dial == nil {
		return nil, errNoDial
	}
	return s.Dial(ctx, "tcp", addr)
}
