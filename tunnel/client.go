package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Client keeps a tunnel to a bastion. Its fields are set before Start and not
// changed after. It is safe for concurrent use.
type Client struct {
	// Destination is [USER@]HOST[:PORT] or a Host of ssh's configuration.
	Destination string

	// ConfigFile replaces ssh's configuration files (ssh -F); "" keeps them.
	ConfigFile string
	// Identities are private key files to offer instead of the configured.
	Identities []string
	// KnownHosts are files to check host keys by instead of the configured.
	KnownHosts []string

	// Carrier is how connections travel; "" means CarrierAuto.
	Carrier Carrier
	// RelayArgs are given to a relay that this Client starts. A forced
	// command on the bastion ignores them.
	RelayArgs []string
	// Program gives the relay to upload for a kind of machine, nil if there is
	// none. A nil Program uploads nothing.
	Program func(goos, goarch string) *Program
	// Progress is told of an upload, in bytes.
	Progress func(done, total int64)

	// Version is said in the hello line to the relay.
	Version string
	// Prompter asks for passphrases, passwords and codes, and about unknown host
	// keys. It is used during Start only: later there may be nobody at the
	// terminal.
	Prompter Prompter
	// Notice shows a person what a server says before login, in lines without
	// control characters; nil logs it. It is used during Start only.
	Notice func(text string)
	// Logger gets what changes: up, down, why. nil discards.
	Logger *slog.Logger

	keys keyring

	mu      sync.Mutex
	current *session // nil while down
	failure error    // of the last attempt, while down
	warned  map[string]bool
	changed chan struct{} // closed and replaced when current or failure changes
	since   time.Time     // of the last change

	wake   chan struct{} // a request waits: try again early
	cancel context.CancelFunc
	closed <-chan struct{}
	work   sync.WaitGroup
}

// Reconnect times. The first attempt comes at once; a waiting request cuts a
// pause short, but not below minPause, so that a broken set-up is not hammered.
const (
	minPause = 200 * time.Millisecond
	maxPause = 30 * time.Second
)

// Status is what there is to say of a Client at one moment.
type Status struct {
	Up      bool
	Since   time.Time // of the last change
	Server  string    // user@host:port, as resolved
	Carrier Carrier
	Relay   string // the relay's version, "" in forward
	Reason  string // why forward was taken in auto
	Err     error  // the last failure while down
}

// Start connects once and returns the error if that fails: a person is
// watching. From then on the connection is kept until Close. ctx bounds the
// first connection only.
func (c *Client) Start(ctx context.Context) error {
	first, err := c.open(ctx)
	if err != nil {
		return err
	}
	// From here on a question would reach nobody who expects it.
	c.Prompter, c.Notice = nil, nil
	run, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.cancel, c.closed = cancel, run.Done()
	c.wake = make(chan struct{}, 1)
	c.changed = make(chan struct{})
	c.current, c.since = first, time.Now()
	c.mu.Unlock()
	c.work.Go(func() { c.keep(run, first) })
	return nil
}

// Close ends the tunnel and every connection through it, and waits for the
// goroutines that Start began.
func (c *Client) Close() error {
	c.mu.Lock()
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
		c.work.Wait()
	}
	return nil
}

// DialContext opens a connection to addr from the bastion. While the tunnel is
// down it waits for it until ctx ends; a failure that will not mend by waiting
// is returned at once. Errors have a Hop method ("local", "ssh", "relay",
// "dns", "aws") and a Permanent method.
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.dial(ctx, network, addr, false)
}

// DialEarly is DialContext without the wait for the bastion's word: what is
// written goes out at once, and a refusal is the error of the first Read.
func (c *Client) DialEarly(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.dial(ctx, network, addr, true)
}

func (c *Client) dial(ctx context.Context, network, addr string, early bool) (net.Conn, error) {
	for {
		c.mu.Lock()
		s, failure, changed := c.current, c.failure, c.changed
		c.mu.Unlock()
		if s != nil {
			conn, err := s.dial(ctx, network, addr, early)
			if err == nil || !isLost(err) {
				return conn, err
			}
			// The session is about to be replaced.
		} else if failure != nil {
			c.rouse()
			if isPermanent(failure) {
				return nil, failure
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, c.waited(context.Cause(ctx))
		case <-c.closed:
			return nil, ErrClosed
		}
	}
}

// waited words the end of a wait for the tunnel.
func (c *Client) waited(cause error) error {
	c.mu.Lock()
	failure := c.failure
	c.mu.Unlock()
	var known *Error
	if errors.As(failure, &known) {
		return known
	}
	return &Error{Kind: KindUnreachable, Host: c.Destination, Err: fmt.Errorf("reconnecting: %w", cause), Passing: true, Hint: "try again in a moment"}
}

// rouse cuts the pause before the next attempt short.
func (c *Client) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Status tells how things are.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Status{Since: c.since, Err: c.failure}
	if s := c.current; s != nil {
		st.Up, st.Server, st.Carrier, st.Reason = true, s.link.host.String(), s.carrier, s.reason
		if s.relay != nil {
			st.Relay = s.relay.Relay.Version
		}
	}
	return st
}

// keep replaces the session each time it ends, until ctx does.
func (c *Client) keep(ctx context.Context, s *session) {
	for s != nil {
		select {
		case <-s.done:
		case <-ctx.Done():
			s.Close()
			c.set(nil, ErrClosed)
			return
		}
		s.Close()
		if ctx.Err() == nil {
			c.log().Warn("tunnel down", "reason", s.err)
		}
		c.set(nil, nil)
		s = c.reopen(ctx)
	}
}

// reopen tries until it has a session; nil when ctx ended.
func (c *Client) reopen(ctx context.Context) *session {
	last := ""
	for attempt := 0; ; attempt++ {
		s, err := c.open(ctx)
		if err == nil {
			c.log().Info("tunnel up again", "server", s.link.host.String(), "carrier", string(s.carrier))
			c.set(s, nil)
			return s
		}
		if ctx.Err() != nil {
			c.set(nil, ErrClosed)
			return nil
		}
		level := slog.LevelInfo // the same reason again is for -v only
		if err.Error() != last {
			level, last = slog.LevelWarn, err.Error()
		}
		c.log().Log(ctx, level, "reconnect", "attempt", attempt+1, "err", err)
		c.set(nil, err)
		if !c.pause(ctx, attempt) {
			c.set(nil, ErrClosed)
			return nil
		}
	}
}

// pause waits before the next attempt: 0.2 s doubling to 30 s, of which a
// random half is taken so that many laptops do not come back in step. A
// waiting request ends it early. It returns false when ctx ended.
func (c *Client) pause(ctx context.Context, attempt int) bool {
	full := min(maxPause, minPause<<min(attempt, 10))
	short := time.NewTimer(min(full, max(minPause, full/8)))
	long := time.NewTimer(full/2 + rand.N(full/2))
	defer short.Stop()
	defer long.Stop()
	select {
	case <-short.C:
	case <-ctx.Done():
		return false
	}
	select {
	case <-long.C:
	case <-c.wake:
	case <-ctx.Done():
		return false
	}
	return true
}

func (c *Client) set(s *session, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.failure, c.since = s, failure, time.Now()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) lookup() lookup {
	return lookup{configFile: c.ConfigFile, identities: c.Identities, knownHosts: c.KnownHosts}
}

func (c *Client) log() *slog.Logger {
	if c.Logger != nil {
		return c.Logger
	}
	return slog.New(slog.DiscardHandler)
}
