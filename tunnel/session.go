package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
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

// relayTimeout bounds the start of a relay, an upload apart.
const relayTimeout = 15 * time.Second

// session is one ssh connection with its carrier, from login to loss.
type session struct {
	link    *link
	relay   *relay.Client // nil: forward
	carrier Carrier
	reason  string // why forward, in auto

	done chan struct{} // closed when the session is over
	err  error         // why; valid after done
	work sync.WaitGroup
}

// open logs in to the destination and starts the carrier.
func (c *Client) open(ctx context.Context) (*session, error) {
	h, err := c.lookup().resolve(ctx, c.Destination)
	if err != nil {
		return nil, err
	}
	l, err := c.connect(ctx, h, 0)
	if err != nil {
		return nil, err
	}
	s := &session{link: l, carrier: CarrierForward, done: make(chan struct{})}
	if c.Carrier != CarrierForward {
		s.relay, err = c.startRelay(ctx, l)
		switch {
		case err == nil:
			s.carrier = CarrierRelay
		case c.Carrier == CarrierRelay || !isPermanent(err):
			l.Close()
			return nil, err
		default:
			s.reason = err.Error()
			c.log().Info("no relay there: using ssh's own forwarding", "reason", s.reason)
		}
	}
	s.work.Go(s.run)
	return s, nil
}

func isPermanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// run waits for the first sign that the session is over, then ends all of it.
func (s *session) run() {
	lost := make(chan error, 3) // one for each of those who wait below
	stop := make(chan struct{})
	s.work.Go(func() { lost <- keepalive(s.link, stop) })
	s.work.Go(func() { lost <- s.link.Wait() })
	if s.relay != nil {
		s.work.Go(func() {
			select {
			case <-s.relay.Done():
				lost <- relay.ErrClosed
			case <-stop:
			}
		})
	}
	s.err = <-lost
	if dead := s.link.conn.death(); dead != nil {
		s.err = dead
	} else if s.err == nil || errors.Is(s.err, io.EOF) {
		s.err = errors.New("the bastion closed the connection")
	}
	close(stop)
	s.link.Close()
	if s.relay != nil {
		s.relay.Close()
	}
	close(s.done)
}

// Close ends the session and waits for its goroutines.
func (s *session) Close() {
	s.link.Close()
	s.work.Wait()
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
		e := &Error{Kind: KindRelay, Host: s.link.host.String(), Err: errors.New("the bastion forbids forwarding (AllowTcpForwarding no)"), Hint: "use --carrier relay"}
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

// startRelay runs the relay that is on the bastion's PATH or was uploaded
// before, and uploads one where there is none.
func (c *Client) startRelay(ctx context.Context, l *link) (*relay.Client, error) {
	onPath, uploaded := true, false
	for {
		r, err := c.execRelay(ctx, l, onPath)
		if err == nil {
			return r, nil
		}
		e := &Error{Kind: KindRelay, Host: l.host.String(), Err: err, Hint: "install ddbproxy-relay on the bastion, or use --carrier forward"}
		var hello *relay.HelloError
		if !errors.As(err, &hello) {
			e.Passing = true
			return nil, e
		}
		if hello.Relay.Protocol != 0 && onPath {
			c.log().Info("the relay on the bastion's PATH is of another protocol: trying an uploaded one", "version", hello.Relay.Version)
			onPath = false
			continue
		}
		missing := missingLine.FindStringSubmatch(hello.Said)
		if missing == nil || uploaded {
			return nil, e
		}
		goos, goarch := goArch(missing[1], missing[2])
		program := c.program(goos, goarch)
		if program == nil {
			e.Err = fmt.Errorf("there is no relay on the bastion, and this ddbproxy carries none for %s/%s", goos, goarch)
			return nil, e
		}
		if err := c.upload(ctx, l, program); err != nil {
			e.Err = fmt.Errorf("upload of the relay: %w", err)
			e.Passing = !errors.Is(err, errRefused)
			return nil, e
		}
		uploaded = true
	}
}

func (c *Client) program(goos, goarch string) *Program {
	if c.Program == nil {
		return nil
	}
	return c.Program(goos, goarch)
}

// execRelay starts a relay by an exec request and shakes hands with it.
func (c *Client) execRelay(ctx context.Context, l *link, onPath bool) (*relay.Client, error) {
	hashes := make(map[string]string)
	for _, m := range machines {
		if p := c.program("linux", m.goarch); p != nil {
			hashes[m.goarch] = p.Hash
		}
	}
	command, err := startCommand(onPath, hashes, c.RelayArgs)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, relayTimeout, errors.New("no answer for 15 s"))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.conn.Close() })
	defer stop()
	session, err := l.NewSession()
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	pipe := &execPipe{session: session, link: l, ended: make(chan struct{})}
	if pipe.WriteCloser, err = session.StdinPipe(); err == nil {
		pipe.out, err = session.StdoutPipe()
	}
	session.Stderr = &pipe.stderr
	if err == nil {
		err = session.Start(command)
	}
	if err != nil {
		session.Close()
		return nil, fmt.Errorf("run the relay: %w", err)
	}
	r, err := relay.NewClient(ctx, pipe, c.Version)
	var hello *relay.HelloError
	if errors.As(err, &hello) && hello.Said == "" {
		session.Wait() // for all of stderr; the session is closed or its link is
		hello.Said = relay.Printable(pipe.stderr.String(), 300)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r, err
}

// execPipe is the standard input and output of a program on the far side.
type execPipe struct {
	io.WriteCloser // its input; Close is ours
	out            io.Reader
	stderr         tail
	session        *ssh.Session
	link           *link
	once           sync.Once
	ended          chan struct{} // closed when the output has ended
}

func (p *execPipe) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if err != nil {
		p.once.Do(func() { close(p.ended) })
	}
	return n, err
}

// Close asks for the end of the session. A dead peer would hold that message,
// and a hung program its answer: then the connection is cut.
func (p *execPipe) Close() error {
	cut := time.AfterFunc(time.Second, func() {
		select {
		case <-p.ended:
		default:
			p.link.conn.Close()
		}
	})
	err := p.session.Close()
	select {
	case <-p.ended:
		cut.Stop()
	default:
	}
	return err
}
