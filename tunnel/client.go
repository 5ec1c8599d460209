package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
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

	// Ephemeral, where it is set, gives the key that is offered first.
	Ephemeral *Ephemeral
	// Locate, where it is set, is asked before every connection where the
	// destination is, unless ssh's configuration tells.
	Locate func(ctx context.Context) (Location, error)

	// SSHCommand reaches the bastion by a program instead, such as "ssh -F x":
	// the shell runs it with Destination and the command to run there behind
	// it, or in the place of %n and %c. ConfigFile, Identities, KnownHosts,
	// Ephemeral and Locate are not used then, and the Carrier is the relay.
	SSHCommand string

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

	// LookOnly writes nothing on this machine: an unknown host key is refused
	// without a question, or taken for this once where the configuration accepts it.
	LookOnly bool
	// Tracer, where it is set, is told of every step that was made. It is used during
	// Start only, by one goroutine at a time.
	Tracer func(Trace)

	keys   *keyring        // shared by the bastions of a Group
	doubts doubts          // which addresses of a name to try last
	moved  chan<- struct{} // told of each change, for a Group

	mu      sync.Mutex
	current *session // nil while down
	failure error    // of the last attempt, while down
	warned  map[string]bool
	changed chan struct{} // closed and replaced when current or failure changes
	since   time.Time     // up or down

	wake   chan struct{} // a request waits: try again early
	cancel context.CancelFunc
	closed <-chan struct{}
	work   sync.WaitGroup
}

// Status is what there is to say of a Client at one moment.
type Status struct {
	Destination string // as given

	Up      bool
	Since   time.Time // up or down; zero before the first attempt ended
	Server  string    // user@host:port, as resolved
	Carrier Carrier
	Relay   string        // the relay's version, "" in forward
	Reason  string        // why auto took that carrier; "" where it was asked for
	RTT     time.Duration // to the bastion and back; 0 where not known
	Err     error         // the last failure while down

	// InUse tells the bastion that new connections take, in a Group.
	InUse bool
}

// Start connects once and returns the error if that fails: a person is
// watching. From then on the connection is kept until Close. ctx bounds the
// first connection only.
func (c *Client) Start(ctx context.Context) error {
	c.prepare()
	first, err := c.open(ctx)
	if err != nil {
		return err
	}
	c.keepFrom(first, nil)
	return nil
}

// prepare comes before the first open.
func (c *Client) prepare() {
	if c.keys == nil {
		c.keys = new(keyring)
	}
	c.wake = make(chan struct{}, 1)
	c.changed = make(chan struct{})
}

// keepFrom keeps the tunnel from now on, which is up by s or down by failure.
func (c *Client) keepFrom(s *session, failure error) {
	// From here on a question would reach nobody who expects it.
	c.Prompter, c.Notice, c.Tracer = nil, nil, nil
	run, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.cancel, c.closed = cancel, run.Done()
	c.current, c.failure, c.since = s, failure, time.Now()
	c.mu.Unlock()
	c.work.Go(func() { c.keep(run, s) })
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
		conn, changed, err := c.dialNow(ctx, network, addr, early)
		if !isLost(err) {
			return conn, err
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

// dialNow is dial without the wait: while the tunnel is down it returns
// relay.ErrClosed, and what is closed when that changes.
func (c *Client) dialNow(ctx context.Context, network, addr string, early bool) (net.Conn, <-chan struct{}, error) {
	c.mu.Lock()
	s, failure, changed := c.current, c.failure, c.changed
	c.mu.Unlock()
	if s != nil {
		conn, err := s.dial(ctx, network, addr, early)
		return conn, changed, err // lost: it is about to be replaced
	}
	notify(c.wake)
	if failure == nil || !isPermanent(failure) {
		failure = relay.ErrClosed
	}
	return nil, changed, failure
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

// Status tells how things are.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Status{Destination: c.Destination, Since: c.since, Err: c.failure}
	if s := c.current; s != nil {
		st.Up, st.Server, st.Carrier, st.Reason, st.RTT = true, s.server, s.carrier, s.reason, s.distance()
		if s.relay != nil {
			st.Relay = s.relay.Relay.Version
		}
	}
	return st
}

func (c *Client) set(s *session, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil || s != nil { // another failed attempt is no news
		c.since = time.Now()
	}
	c.current, c.failure = s, failure
	close(c.changed)
	c.changed = make(chan struct{})
	if c.moved != nil {
		notify(c.moved)
	}
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
