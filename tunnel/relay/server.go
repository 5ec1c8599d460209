package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Server is the far end. It needs no privilege, file or listening socket.
type Server struct {
	// Allow decides about a target "host:port"; its error is the reason given.
	// nil refuses every target.
	Allow func(target string) error

	// Dial opens a connection to an allowed target; nil means a net.Dialer. Where
	// it refuses one by itself its error is or wraps an *Error.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Questions answers requests that are no CONNECT, such as those of Client.Ask. nil
	// refuses them.
	Questions http.Handler

	// Version is said in the hello line.
	Version string

	// Logger gets one line a refused or failed target; nil discards.
	Logger *slog.Logger

	// Audit is told of each connection when it is over, refused ones too; it may
	// be called by several goroutines. nil is none.
	Audit func(Record)
}

const (
	// dialTimeout is below the client's patience (10 s for a TLS handshake that
	// it may have begun), so that the reason arrives while it is waited for.
	dialTimeout = 8 * time.Second

	// helloTimeout ends a relay whose starter said nothing.
	helloTimeout = 30 * time.Second

	// A client whose laptop lost power is noticed within half a minute, where
	// sshd itself may hold the session for hours (TCP keepalive, two hours).
	serverPingAfter = 15 * time.Second
	serverPingWait  = 15 * time.Second

	// tidyAfter is how long after the end of a stream memory is given back to the
	// system: a bastion is small, and has many users.
	tidyAfter = 5 * time.Second

	// helloBuffer is for what comes first, and reading ahead behind it.
	helloBuffer = 32 << 10
)

// Serve says hello, serves CONNECT streams over rw until the peer is gone or
// ctx ends, closes rw and returns. The error is nil when the peer just left.
func (s *Server) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	br := bufio.NewReaderSize(rw, helloBuffer)
	out := newBatch(rw)
	conn := newPipeConn(br, out)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	hello := Hello{serverRole, Protocol, s.Version}
	if _, err := fmt.Fprintf(rw, "%s\n", hello); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	silent := time.AfterFunc(helloTimeout, func() { conn.Close() })
	peer, noise, err := readHello(br, clientRole)
	silent.Stop()
	switch {
	case err != nil:
		return fmt.Errorf("no hello from ddbproxy (got %q): %w", noise, err)
	case peer.Protocol != Protocol:
		return fmt.Errorf("ddbproxy %s speaks protocol %d, this relay speaks %d: use the same version at both ends", peer.Version, peer.Protocol, Protocol)
	}

	go out.run() // ends with conn; not waited for, since nobody may take what it writes
	listener := listenOne(conn)
	var streams gate
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tidy := time.AfterFunc(tidyAfter, func() {
		runtime.GC() // what is in a sync.Pool outlives one collection
		debug.FreeOSMemory()
	})
	defer tidy.Stop()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !streams.enter() {
				return // too late: the connection is closed
			}
			defer streams.leave()
			defer tidy.Reset(tidyAfter)
			if r.Method != http.MethodConnect && s.Questions != nil {
				s.Questions.ServeHTTP(w, r)
				return
			}
			record := Record{Client: peer.Version, ID: cleanID(r.Header.Get(idHeader)), Target: Printable(r.Host, 300), Began: time.Now()}
			if s.Audit != nil {
				defer func() { s.Audit(record) }()
			}
			s.carry(w, r, &record)
		}),
		MaxHeaderBytes: 16 << 10, // of a request; the default is 1 MiB, a thousand times over
		Protocols:      protocols,
		ErrorLog:       slog.NewLogLogger(s.logger().Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 1000, // an idle pooled connection is a stream
			// Uploads: windows as large as ssh's own (2 MiB a channel).
			MaxReceiveBufferPerConnection: 3 << 20,
			MaxReceiveBufferPerStream:     2 << 20,
			// The client has a buffer of this size for each open stream: no
			// more than a TLS record needs (RFC 8446, section 5.2).
			MaxReadFrameSize: 17 << 10,
			SendPingTimeout:  serverPingAfter,
			PingTimeout:      serverPingWait,
		},
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				listener.Close()
			}
		},
	}
	err = server.Serve(listener)
	streams.shut() // their connection is closed, so they end
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// gate lets streams in until it is shut; net/http may start a handler after its
// server has ended.
type gate struct {
	mu      sync.Mutex
	closed  bool
	streams sync.WaitGroup
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.streams.Add(1)
	}
	return !g.closed
}

func (g *gate) leave() { g.streams.Done() }

// shut lets none in any more, and waits for those that are.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.streams.Wait()
}

// carry handles one CONNECT stream: check, dial, copy both ways.
func (s *Server) carry(w http.ResponseWriter, r *http.Request, record *Record) {
	refuse := func(kind Kind, reason string) {
		record.Kind, record.Reason = kind, Printable(reason, 300)
		s.refuse(w, record)
	}
	if r.Method != http.MethodConnect {
		refuse(KindDenied, "only CONNECT is spoken here")
		return
	}
	if err := s.allow(r.Host); err != nil {
		refuse(KindDenied, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), dialTimeout)
	target, err := s.dial(ctx, r.Host)
	cancel()
	if err != nil {
		refuse(classify(err))
		return
	}
	defer target.Close()
	record.Addr = target.RemoteAddr().String()
	// Once the client has ended its direction nothing reads from it any more:
	// this alone tells that it has gone.
	stop := context.AfterFunc(r.Context(), func() { target.Close() })
	defer stop()
	w.WriteHeader(http.StatusOK)
	if err := join(w, r, target, record); err != nil {
		record.Reason = "broken: " + Printable(err.Error(), 300)
		// A connection that broke is a broken stream for the client too, not
		// a tidy end.
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) allow(target string) error {
	if s.Allow == nil {
		return errors.New("this relay allows no target")
	}
	return s.Allow(target)
}

func (s *Server) dial(ctx context.Context, target string) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, "tcp", target)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", target)
}

func (s *Server) refuse(w http.ResponseWriter, r *Record) {
	s.logger().Info("refused", "target", r.Target, "error", string(r.Kind), "reason", r.Reason)
	w.Header().Set("Proxy-Status", proxyStatus(r.Kind))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(statusOf[r.Kind])
	io.WriteString(w, r.Reason)
}

func (s *Server) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.New(slog.DiscardHandler)
}

// join copies between the stream and target until target has said all. When
// the client ends its direction first, only that direction is closed at the
// target, as a TCP half-close would. When target is done the stream is done:
// an HTTP/2 server cannot end its answer and go on reading. The error tells
// that target broke. The bytes are counted in record.
func join(w http.ResponseWriter, r *http.Request, target net.Conn, record *Record) error {
	rc := http.NewResponseController(w)
	var up sync.WaitGroup
	up.Go(func() { record.Up = sendUp(target, r.Body) })
	down, err := sendDown(w, rc, target)
	record.Down = down
	// Ends the read of r.Body in sendUp; closing the body there would race.
	rc.SetReadDeadline(time.Unix(1, 0))
	target.Close()
	up.Wait()
	return err
}

// sendUp copies from the client to target and passes its half-close on. A
// broken stream (reset, tunnel lost) closes target whole. It returns how many
// bytes there were.
func sendUp(target net.Conn, body io.Reader) (sent int64) {
	err := pump(body, func(p []byte) error {
		n, err := target.Write(p)
		sent += int64(n)
		return err
	})
	if err != nil {
		target.Close()
		return sent
	}
	if half, ok := target.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	return sent
}

// sendDown copies from target to the client and flushes each piece: a
// response writer keeps up to 4 KiB back otherwise. It returns how many bytes
// there were. The error is target's; a client that left is none.
func sendDown(w io.Writer, rc *http.ResponseController, target net.Conn) (sent int64, err error) {
	if rc.Flush() != nil {
		return 0, nil
	}
	var left error // the client
	err = pump(target, func(p []byte) error {
		if _, left = w.Write(p); left == nil {
			left = rc.Flush()
		}
		if left == nil {
			sent += int64(len(p))
		}
		return left
	})
	if left != nil || errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return sent, err
}
