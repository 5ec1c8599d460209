package tunnel

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// Carrier says by what the connections travel.
type Carrier string

// The carriers. Auto takes the relay, and forward where no relay can run.
const (
	CarrierAuto    Carrier = "auto"
	CarrierRelay   Carrier = "relay"   // CONNECT streams to a relay program
	CarrierForward Carrier = "forward" // ssh's own direct-tcpip channels (RFC 4254, section 7.2)
)

// session is a carrier on a connection to the bastion, from its start to its
// loss. The connection may outlive it: a relay that ended is started again.
type session struct {
	server  string
	link    *link         // nil with an ssh command
	relay   *runningRelay // nil: forward
	carrier Carrier
	reason  string // why it is that one, in auto
	without error  // why there is no relay, in auto; nil where there is one

	began time.Time
	done  chan struct{} // closed when the session is over
	err   error         // why; valid after done
}

// open connects to the destination and starts the carrier.
func (c *Client) open(ctx context.Context) (*session, error) {
	start := time.Now()
	if c.SSHCommand != "" {
		r, err := c.openByCommand(ctx)
		if err != nil {
			return nil, err
		}
		c.traced(StepCarrier, c.Destination, 0, start, "by the ssh command")
		return begin(&session{server: c.Destination, relay: r, carrier: CarrierRelay}), nil
	}
	h, err := c.lookup().resolve(ctx, c.Destination)
	if err != nil {
		return nil, err
	}
	c.traced(StepConfig, h.String(), 0, start, h.way())
	l, err := c.connect(ctx, h, 0)
	if err != nil {
		return nil, err
	}
	l.attend()
	s, err := c.load(ctx, l)
	if err != nil {
		l.Close()
	}
	return s, err
}

// load starts the carrier on a connection.
func (c *Client) load(ctx context.Context, l *link) (*session, error) {
	start := time.Now()
	s := &session{server: l.host.String(), link: l, carrier: CarrierForward}
	if c.Carrier != CarrierForward {
		r, err := c.startRelay(ctx, sshShell{l})
		switch {
		case err == nil:
			s.relay, s.carrier = r, CarrierRelay
			if c.Carrier != CarrierRelay {
				s.reason = "it runs there"
				c.log().Info("the relay is the carrier", "reason", s.reason)
			}
		case c.Carrier == CarrierRelay || !isPermanent(err):
			return nil, err
		default:
			s.reason, s.without = err.Error(), err
			c.log().Info("no relay there: using ssh's own forwarding", "reason", s.reason)
		}
	}
	c.traced(StepCarrier, s.server, 0, start, string(s.carrier))
	return begin(s), nil
}

// begin watches for the end of s.
func begin(s *session) *session {
	s.began, s.done = time.Now(), make(chan struct{})
	go s.run() // ends with the session, which Close sees to
	return s
}

func isPermanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// settle is how long a relay's end may precede the news that its connection
// has ended: then that is the reason.
const settle = 100 * time.Millisecond

// run waits for the end of the carrier or of what it stands on.
func (s *session) run() {
	var gone, ended <-chan struct{}
	if s.link != nil {
		gone = s.link.gone
	}
	if s.relay != nil {
		ended = s.relay.Done()
	}
	select {
	case <-gone:
	case <-ended:
		select {
		case <-gone:
		case <-time.After(settle):
		}
	}
	if s.relay != nil {
		s.relay.Close()
	}
	if s.alive() || s.link == nil {
		s.err = s.relay.ended()
	} else {
		s.err = s.link.err
	}
	close(s.done)
}

// alive reports whether there is a connection to the bastion still.
func (s *session) alive() bool {
	if s.link == nil {
		return false
	}
	select {
	case <-s.link.gone:
		return false
	default:
		return true
	}
}

// trouble is why the session is over where that is no matter of ssh's; nil else.
func (s *session) trouble() error {
	if !s.alive() {
		return nil
	}
	return &Error{Kind: KindRelay, Host: s.server, Err: s.err, Hint: "another is started", Passing: true}
}

// Close ends the session and its connection.
func (s *session) Close() {
	if s.link != nil {
		s.link.Close()
	} else {
		s.relay.Close()
	}
	<-s.done
}

// distance is the round trip to the bastion, 0 where it is not known yet.
func (s *session) distance() time.Duration {
	if s.link == nil {
		return 0
	}
	return s.link.distance()
}

// dial opens one connection, early where the carrier can. relay.ErrClosed means
// that the session is over.
func (s *session) dial(ctx context.Context, network, addr string, early bool) (net.Conn, error) {
	switch {
	case s.relay != nil && early:
		return s.relay.DialEarly(ctx, network, addr)
	case s.relay != nil:
		return s.relay.DialContext(ctx, network, addr)
	}
	conn, err := s.link.DialContext(ctx, network, addr)
	var refused *ssh.OpenChannelError
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !errors.As(err, &refused):
		return nil, relay.ErrClosed
	case refused.Reason == ssh.Prohibited:
		e := &Error{Kind: KindRelay, Host: s.server, Err: ErrNoForwarding, Hint: "use --carrier relay"}
		if s.reason != "" {
			e.Hint = "and the relay did not start: " + s.reason
		}
		return nil, e
	}
	return nil, &relay.Error{Kind: forwardKind(refused.Message), Target: addr, Reason: "from the bastion: " + relay.Printable(refused.Message, 200)}
}

// forwardKind reads sshd's words for a target that it could not reach.
func forwardKind(message string) relay.Kind {
	m := strings.ToLower(message)
	switch {
	case strings.Contains(m, "name or service") || strings.Contains(m, "resol"):
		return relay.KindDNS
	case strings.Contains(m, "refused"):
		return relay.KindRefused
	case strings.Contains(m, "timed out"):
		return relay.KindTimeout
	}
	return relay.KindNoRoute
}

// isLost reports that the session itself is over, not one dial.
func isLost(err error) bool { return errors.Is(err, relay.ErrClosed) }
