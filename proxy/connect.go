package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// maxTunnels leaves room for endpoint mode among the streams that a relay carries: nothing ends an idle tunnel.
const maxTunnels = 500

// serveConnect is proxy mode (HTTPS_PROXY): a tunnel to a DynamoDB endpoint, in which the caller's own TLS and signature
// pass untouched. The target is taken from the request line, because Python sends HTTP/1.0 without a Host header.
func (s *Server) serveConnect(w http.ResponseWriter, r *http.Request, e *entry) {
	e.target = r.RequestURI
	if fromAfar(r) { // nothing else would tell who calls
		s.refuseConnect(w, e, http.StatusForbidden, "local: proxy mode is for callers on ddbproxy's own machine; use the endpoint URL and the key of ddbproxy env")
		return
	}
	if s.tunnels.Add(1) > maxTunnels {
		s.tunnels.Add(-1)
		s.refuseConnect(w, e, http.StatusServiceUnavailable, fmt.Sprintf("local: %d tunnels are open already; close some clients", maxTunnels))
		return
	}
	defer s.tunnels.Add(-1)
	dial := s.dial
	if err := s.allow().Check(e.target); err != nil {
		if s.DialOther == nil {
			s.refuseConnect(w, e, http.StatusForbidden, "local: "+err.Error())
			return
		}
		dial = func(ctx context.Context, addr string) (net.Conn, error) { return s.DialOther(ctx, "tcp", addr) }
	}
	far, err := s.dialHeld(r.Context(), dial, e.target)
	if err != nil {
		e.err = err
		host, _, _ := net.SplitHostPort(e.target)
		f := explainAt(&dialError{err}, host)
		status := http.StatusServiceUnavailable
		switch {
		case f.permanent:
			status = http.StatusBadGateway
		case errors.Is(err, context.DeadlineExceeded):
			status = http.StatusGatewayTimeout
		}
		s.refuseConnect(w, e, status, f.hop+": "+f.text)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		e.err = fmt.Errorf("take over the connection: %w", err)
		panic(http.ErrAbortHandler)
	}
	defer near.Close()
	if err := near.SetDeadline(time.Time{}); err != nil { // the http.Server's deadlines are not for tunnels
		e.err = err
		return
	}
	// ServeHTTP's context no longer ends with the caller's connection once it is taken over, only with Close.
	stop := context.AfterFunc(s.life, func() { near.Close(); far.Close() })
	defer stop()
	e.status = http.StatusOK
	if _, e.err = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); e.err != nil {
		return
	}
	// What the caller sent on without waiting is in the server's buffer.
	early := io.LimitReader(buffered, int64(buffered.Reader.Buffered()))
	e.bytes = joinConns(near, tidied{io.MultiReader(early, near), s.tidy}, far)
}

// allow is what proxy mode may reach.
func (s *Server) allow() endpoint.Allow {
	a := endpoint.Allow{Regions: slices.Clone(s.Regions)}
	if s.endpoint.VPCE != "" {
		a.VPCE = []string{s.endpoint.Host}
	}
	return a
}

// dialHeld dials, waiting out what may pass by itself up to Hold.
func (s *Server) dialHeld(ctx context.Context, dial func(context.Context, string) (net.Conn, error), addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.hold())
	defer cancel()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		conn, err := dial(ctx, addr)
		if err == nil || ctx.Err() != nil || explainAt(&dialError{err}, "").permanent {
			return conn, err
		}
		if wait(ctx, pause) != nil {
			return nil, err // which says more than the deadline
		}
	}
}

// tidied reads from a caller. A tunnel may lie open for hours after a rush in it.
type tidied struct {
	io.Reader
	timer *time.Timer
}

func (t tidied) Read(p []byte) (int, error) {
	t.timer.Reset(tidyAfter)
	return t.Reader.Read(p)
}

// joinConns copies both ways, keeping half-closes, and returns the bytes from far when both ways have ended. An error on
// one way ends the other, which could wait for ever.
func joinConns(near net.Conn, fromNear io.Reader, far net.Conn) int64 {
	var down atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() { pipe(far, fromNear, near) })
	wg.Go(func() { down.Store(pipe(near, far, far)) })
	wg.Wait()
	return down.Load()
}

// pipe copies until src ends and passes the end on. from is the connection that src reads.
func pipe(dst net.Conn, src io.Reader, from net.Conn) int64 {
	n, err := io.Copy(dst, src)
	half, ok := dst.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		dst.Close()
		if err != nil {
			from.Close()
		}
	}
	return n
}

// refuseConnect answers with the reason in the reason phrase, which Go prints; the AWS CLI shows it with --debug only.
func (s *Server) refuseConnect(w http.ResponseWriter, e *entry, status int, message string) {
	// The AWS CLI shows nothing of it.
	s.Logger.Warn("proxy mode refused", "target", oneLine(e.target, 120), "reason", message)
	message = "ddbproxy: " + oneLine(message, 400)
	e.status = status
	if e.err == nil {
		e.err = errors.New(message)
	}
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, message, status)
		return
	}
	defer near.Close()
	_ = near.SetDeadline(time.Now().Add(5 * time.Second)) // a caller that reads nothing gets nothing
	n, _ := fmt.Fprintf(near, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nX-Amzn-Requestid: %s\r\nConnection: close\r\n\r\n%s\n",
		status, ascii(message), len(message)+1, e.id(), message)
	e.bytes = int64(n)
}

// ascii makes a text fit for a status line.
func ascii(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
