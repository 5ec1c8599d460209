package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
)

// sniffing tells by its first byte whether a client speaks TLS. It is served
// where the session has a certificate authority (--tls). Where not it is noticed:
// the client's own error would not tell what is wrong.
type sniffing struct {
	net.Listener
	ca  *localCA // nil: no TLS
	log *slog.Logger
}

func (s *sniffing) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &sniffedConn{Conn: c, sniffing: s}, nil
}

type sniffedConn struct {
	net.Conn
	*sniffing
	once   sync.Once
	secure atomic.Pointer[tls.Conn] // what is spoken over Conn; nil: no TLS
}

// tlsAlert is a fatal handshake_failure (RFC 8446, section 6).
var tlsAlert = []byte{21, 3, 1, 0, 2, 2, 40}

var errTLS = errors.New("a client spoke TLS")

func (c *sniffedConn) Read(p []byte) (int, error) {
	if t := c.secure.Load(); t != nil {
		return t.Read(p)
	}
	n, err := c.Conn.Read(p)
	c.once.Do(func() {
		switch {
		case n == 0 || p[0] != 22: // a TLS handshake record
		case c.ca == nil:
			c.log.Warn("a client spoke TLS to the plain port: its endpoint URL should begin with http://, or start ddbproxy with --tls", "client", c.RemoteAddr().String())
			c.Conn.Write(tlsAlert)
			n, err = 0, errTLS
		default:
			t := tls.Server(&replayedConn{c.Conn, *bytes.NewBuffer(bytes.Clone(p[:n]))}, c.ca.config())
			c.secure.Store(t)
			if err = t.Handshake(); err != nil {
				c.log.Warn("a client broke off https: it has to trust "+c.ca.file, "client", c.RemoteAddr().String(), "err", err)
				n = 0
				return
			}
			n, err = t.Read(p)
		}
	})
	return n, err
}

func (c *sniffedConn) Write(p []byte) (int, error) {
	if t := c.secure.Load(); t != nil {
		return t.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *sniffedConn) Close() error {
	if t := c.secure.Load(); t != nil {
		return t.Close()
	}
	return c.Conn.Close()
}

// CloseWrite lets net/http and proxy mode end one direction.
func (c *sniffedConn) CloseWrite() error {
	if t := c.secure.Load(); t != nil {
		return t.CloseWrite()
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// replayedConn gives again what was read of it.
type replayedConn struct {
	net.Conn
	first bytes.Buffer
}

func (c *replayedConn) Read(p []byte) (int, error) {
	if c.first.Len() > 0 {
		return c.first.Read(p)
	}
	return c.Conn.Read(p)
}
