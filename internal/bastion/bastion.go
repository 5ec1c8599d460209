// Package bastion is a small ssh server in process: the bastion of the demo and
// of tests. Its accounts can do one thing, run ddbproxy-relay (the real one,
// from internal/relayd), and, where Forward is set, ssh's own forwarding.
//
//	b := &bastion.Server{HostKey: signer, Authorized: []ssh.PublicKey{key}, Dial: dial}
//	go b.Serve(listener)
//	defer b.Close()
//
// It runs no shell and no other program, and refuses everybody when no key is
// authorized.
package bastion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/internal/relayd"
	"github.com/ddbproxy/ddbproxy/internal/survey"
)

// Server is the bastion. Set its fields before Serve.
type Server struct {
	HostKey    ssh.Signer
	Authorized []ssh.PublicKey

	// Dial is the bastion's own way to the network; nil is the machine's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Surveyor tells where the bastion is; nil is nowhere.
	Surveyor *survey.Surveyor
	// Forward allows direct-tcpip channels (AllowTcpForwarding yes).
	Forward bool
	// Exec replaces what an exec request does, in tests; nil runs the relay.
	Exec func(command string, ch ssh.Channel) (exitStatus int)
	// NoExec refuses exec requests, as a server does that only forwards.
	NoExec bool
	// NoSessions opens no channel for programs, as sshd does with MaxSessions 0.
	NoSessions bool
	// Login changes how accounts log in, in tests; nil is by key.
	Login func(*ssh.ServerConfig)
	// Logger gets a line a login; nil discards.
	Logger *slog.Logger

	mu     sync.Mutex
	open   map[io.Closer]bool // listeners and connections
	closed bool
	work   sync.WaitGroup
}

// Serve accepts connections until Close; it returns net.ErrClosed then.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		return net.ErrClosed
	}
	defer s.drop(l)
	config := &ssh.ServerConfig{
		PublicKeyCallback: s.authorize,
		ServerVersion:     "SSH-2.0-ddbproxy_bastion",
	}
	config.AddHostKey(s.HostKey)
	if s.Login != nil {
		s.Login(config)
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		if !s.track(conn) {
			return net.ErrClosed
		}
		s.work.Go(func() {
			defer s.drop(conn)
			s.serveConn(conn, config)
		})
	}
}

// Close ends everything and waits for it.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Disconnect()
	s.work.Wait()
	return nil
}

// Disconnect cuts every connection and listener that is open now.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close()
	}
}

func (s *Server) track(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	if s.open == nil {
		s.open = make(map[io.Closer]bool)
	}
	s.open[c] = true
	return true
}

func (s *Server) drop(c io.Closer) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	c.Close()
}

func (s *Server) authorize(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	for _, k := range s.Authorized {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return &ssh.Permissions{}, nil
		}
	}
	return nil, errors.New("key not authorized")
}

// serveConn runs one ssh connection until it ends, and its channels with it.
func (s *Server) serveConn(conn net.Conn, config *ssh.ServerConfig) {
	sc, chans, reqs, err := ssh.NewServerConn(conn, config)
	if err != nil {
		s.log().Debug("login", "from", conn.RemoteAddr(), "err", err)
		return
	}
	defer sc.Close()
	s.log().Info("login", "user", sc.User(), "from", conn.RemoteAddr())
	ctx, cancel := context.WithCancel(context.Background())
	var channels sync.WaitGroup
	defer channels.Wait()
	defer cancel()
	channels.Go(func() { ssh.DiscardRequests(reqs) }) // answers keepalives
	for c := range chans {
		switch {
		case c.ChannelType() == "session" && s.NoSessions:
			c.Reject(ssh.ConnectionFailed, "open failed")
		case c.ChannelType() == "session":
			channels.Go(func() { s.session(ctx, c) })
		case c.ChannelType() == "direct-tcpip" && s.Forward:
			channels.Go(func() { s.forward(ctx, c) })
		case c.ChannelType() == "direct-tcpip":
			c.Reject(ssh.Prohibited, "open failed")
		default:
			c.Reject(ssh.UnknownChannelType, "unsupported")
		}
	}
}

// session answers one exec request; a shell or anything else is refused.
func (s *Server) session(ctx context.Context, c ssh.NewChannel) {
	ch, reqs, err := c.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the channel is gone: so is what runs on it
	started := false
	for req := range reqs {
		var exec struct{ Command string }
		if req.Type != "exec" || s.NoExec || started || ssh.Unmarshal(req.Payload, &exec) != nil {
			req.Reply(false, nil)
			continue
		}
		started = true
		req.Reply(true, nil)
		running.Go(func() {
			status := s.exec(ctx, exec.Command, ch)
			ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
			ch.Close()
		})
	}
}

func (s *Server) exec(ctx context.Context, command string, ch ssh.Channel) int {
	if s.Exec != nil {
		return s.Exec(command, ch)
	}
	args, ok := RelayArgs(command)
	if !ok {
		fmt.Fprintln(ch.Stderr(), "this bastion runs nothing but ddbproxy-relay")
		return 126
	}
	surveyor := s.Surveyor
	if surveyor == nil {
		surveyor = new(survey.Surveyor) // not where the test happens to run
	}
	p := relayd.Program{Stdin: ch, Stdout: ch, Stderr: ch.Stderr(), Close: ch.Close, Dial: s.Dial, Surveyor: surveyor}
	return p.Run(ctx, args)
}

// RelayArgs finds the relay's arguments in a command: "ddbproxy-relay ARGS" as
// a person types it, or the first exec of the script that ddbproxy sends.
func RelayArgs(command string) (args []string, ok bool) {
	if rest, typed := strings.CutPrefix(command, "ddbproxy-relay"); typed {
		return strings.Fields(rest), true
	}
	_, rest, found := strings.Cut(command, `p=$(command -v ddbproxy-relay) && exec "$p" `)
	if !found {
		return nil, false
	}
	rest, _, _ = strings.Cut(rest, ";")
	return strings.Fields(rest), true
}

// forward joins a direct-tcpip channel (RFC 4254, section 7.2) to its target.
func (s *Server) forward(ctx context.Context, c ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(c.ExtraData(), &to); err != nil {
		c.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	dial := s.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	target, err := dial(ctx, "tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		c.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer target.Close()
	ch, reqs, err := c.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	var both sync.WaitGroup
	both.Go(func() { ssh.DiscardRequests(reqs) })
	both.Go(func() {
		io.Copy(target, ch)
		target.Close()
	})
	io.Copy(ch, target)
	ch.Close()
	both.Wait()
}

func (s *Server) log() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.New(slog.DiscardHandler)
}
