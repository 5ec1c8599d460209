package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Client is the near end of one stream to a relay. It is safe for concurrent
// use.
type Client struct {
	// Relay is what the far end said of itself.
	Relay Hello

	// Logger gets a line a connection with its id, which the relay's audit has
	// too. Set it before the first dial; nil discards.
	Logger *slog.Logger

	// Lost, where it is set, is asked for more of a connection to the relay that
	// is gone: its error, where it has one, is given in a LostError. Set it before
	// the first dial.
	Lost func() error

	conn *pipeConn
	h2   *http.ClientConn

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup // goroutines
}

const (
	// A relay that hangs while ssh is well is noticed within 15 s.
	clientPingAfter = 10 * time.Second
	clientPingWait  = 5 * time.Second

	// answerWait is longer than a relay may take to dial. It is less than what is
	// left to a TLS handshake, which would be blamed otherwise.
	answerWait = dialTimeout + time.Second

	// A relay that was not heard for this long has given its client up, or is
	// about to: only a laptop that slept comes to see it.
	outlived = serverPingAfter + serverPingWait - 5*time.Second
)

// ErrClosed tells that the connection to the relay is gone, before or while a
// stream was open on it. A new Client may be better off.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "the connection to the bastion is lost" }

// Hop is ssh: a relay's stream ends when its ssh session does.
func (closedError) Hop() string { return "ssh" }

// Permanent is false: the next session may be on its way.
func (closedError) Permanent() bool { return false }

// LostError is ErrClosed with more about why.
type LostError struct{ Err error }

func (e *LostError) Error() string { return e.Err.Error() }
func (e *LostError) Unwrap() error { return e.Err }

// Is makes it an ErrClosed.
func (e *LostError) Is(target error) bool { return target == ErrClosed }

// Hop is relay: otherwise there would be nothing more to tell.
func (e *LostError) Hop() string { return "relay" }

// Permanent is false, as ErrClosed's.
func (e *LostError) Permanent() bool { return false }

// HelloError tells that what answered is no relay that this Client can talk
// to: a shell's error message, a banner, another protocol version.
type HelloError struct {
	Relay  Hello  // zero if no hello came
	Said   string // the end of what came instead, one printable line
	Stderr string // the end of what came on standard error besides
	Err    error
}

func (e *HelloError) Error() string {
	switch {
	case e.Relay.Protocol != 0:
		return fmt.Sprintf("relay %s speaks protocol %d, this ddbproxy speaks %d", e.Relay.Version, e.Relay.Protocol, Protocol)
	case e.Said != "" && e.Stderr != "":
		return fmt.Sprintf("no relay answered; it printed %q, and on standard error %q", e.Said, e.Stderr)
	case e.Said != "":
		return fmt.Sprintf("no relay answered; it printed %q", e.Said)
	}
	return fmt.Sprintf("no relay answered: %v", e.Err)
}

func (e *HelloError) Unwrap() error { return e.Err }

// NewClient exchanges hello lines over rw and starts HTTP/2 on it. Closing rw
// must end a blocked Read and Write. ctx bounds the hello only. The Client
// owns rw from here on, and closes it on error too.
func NewClient(ctx context.Context, rw io.ReadWriteCloser, version string) (*Client, error) {
	br := bufio.NewReaderSize(rw, helloBuffer)
	out := newBatch(rw)
	c := &Client{conn: newPipeConn(br, out)}
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()

	// A write that fails is no news: why the far side has ended stands in what
	// it printed before.
	fmt.Fprintf(rw, "%s\n", Hello{clientRole, Protocol, version})
	relay, noise, err := readHello(br, serverRole)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil || relay.Protocol != Protocol {
		c.conn.Close()
		return nil, &HelloError{Relay: relay, Said: noise, Err: err}
	}
	c.Relay = relay
	c.open.Go(out.run) // ends with conn

	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols:   protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return c.conn, nil },
		HTTP2: &http.HTTP2Config{
			MaxReadFrameSize: 64 << 10,
			// What nobody reads is held here, so that HTTP/2 goes on reading: ssh's
			// window, however wide, is for what is on its way.
			MaxReceiveBufferPerStream: 2 << 20,
			SendPingTimeout:           clientPingAfter,
			PingTimeout:               clientPingWait,
		},
	}
	c.h2, err = transport.NewClientConn(ctx, "http", "relay:80")
	if err != nil {
		c.conn.Close()
		return nil, fmt.Errorf("start http/2: %w", err)
	}
	return c, nil
}

// GaveUp reports, once Done is closed, that it was for the relay's silence or for
// what it said, and not because its stream broke.
func (c *Client) GaveUp() bool { return !c.conn.broke.Load() }

// Done is closed when the connection to the relay is gone.
func (c *Client) Done() <-chan struct{} { return c.conn.done }

// Close ends all streams.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.h2.Close()
	err := c.conn.Close()
	c.open.Wait()
	return err
}

// DialContext asks the relay to open a TCP connection to addr ("host:port")
// and waits for its word. The error is an *Error when the relay refused,
// ErrClosed when the connection to it broke, or ctx's. ctx bounds the dialling,
// not the connection.
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	s, err := c.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	select {
	case <-s.answered:
		if s.refusal != nil {
			s.Close()
			return nil, s.refusal
		}
		return s, nil
	case <-ctx.Done():
		s.Close()
		return nil, context.Cause(ctx)
	}
}

// DialEarly is DialContext without the wait: what is written goes out with the
// request, which saves a round trip where the near end speaks first, as in TLS.
// The relay's refusal is the error of the first Read.
func (c *Client) DialEarly(ctx context.Context, network, addr string) (net.Conn, error) {
	s, err := c.dial(ctx, network, addr)
	if err != nil {
		return nil, err // not s: a nil *stream in a net.Conn is not nil
	}
	return s, nil
}

func (c *Client) dial(ctx context.Context, network, addr string) (*stream, error) {
	if network != "tcp" {
		return nil, net.UnknownNetworkError(network)
	}
	// The stream outlives ctx, so the request may not be bound to it.
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := newStream(addr, cancel)
	s.gone, s.lost = c.gone, c.lost
	if !c.launch(func() { c.carry(streamCtx, s) }) {
		s.Close()
		return nil, ErrClosed
	}
	return s, nil
}

// gone reports whether the relay must have ended while this machine slept, and
// gives it up then: what was written to it now would be of unknown fate. It does
// not wait for that: a writer would hear that its stream has ended before it
// hears that its write was not begun.
func (c *Client) gone() bool {
	if c.conn.quiet() < outlived {
		return false
	}
	c.launch(func() { c.conn.Close() })
	return true
}

// launch starts a goroutine that Close waits for, unless it is too late.
func (c *Client) launch(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.open.Go(f)
	return true
}

// carry sends a stream's CONNECT and hears the answer to it.
func (c *Client) carry(ctx context.Context, s *stream) {
	id := newID()
	late := time.AfterFunc(answerWait, s.cancel)
	resp, err := c.h2.RoundTrip((&http.Request{
		Method:        http.MethodConnect,
		URL:           &url.URL{Scheme: "http", Host: s.target},
		Host:          s.target,
		Header:        http.Header{idHeader: {id}},
		Body:          s.upBody,
		ContentLength: -1,
	}).WithContext(ctx))
	switch inTime := late.Stop(); {
	case err != nil && !inTime && ctx.Err() != nil && !s.isClosed():
		s.answer(nil, &Error{KindInternal, s.target, fmt.Sprintf("the relay on the bastion has not answered within %v", answerWait)})
	case err != nil:
		s.answer(nil, c.lost(err))
	case resp.StatusCode != http.StatusOK:
		s.answer(nil, refusal(s.target, resp))
	default:
		s.answer(resp.Body, nil)
	}
	if c.Logger != nil {
		c.Logger.Debug("connection", "id", id, "target", s.target, "opened", s.refusal == nil)
	}
}

// lost tells a broken connection to the relay from one broken stream. After
// a GOAWAY the connection takes no more streams while its Err is still nil.
func (c *Client) lost(err error) error {
	select {
	case <-c.Done():
	default:
		if c.h2.Err() == nil && (c.h2.Available() > 0 || c.h2.InFlight() > 0) {
			return err
		}
		c.conn.Close()
	}
	if c.Lost != nil {
		if why := c.Lost(); why != nil {
			return &LostError{why}
		}
	}
	return ErrClosed
}

// refusal reads the relay's reason for not opening a stream.
func refusal(target string, resp *http.Response) *Error {
	reason, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	resp.Body.Close()
	return &Error{Kind: kindOf(resp.Header), Target: target, Reason: Printable(string(reason), 300)}
}
