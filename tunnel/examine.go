package tunnel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// ErrNoForwarding tells that the bastion's sshd opens no channel to the address.
// It does not say by which of its settings.
var ErrNoForwarding = errors.New("the bastion forbids forwarding (AllowTcpForwarding no or PermitOpen in its sshd_config, or restrict on the key)")

// errNoLink tells that there is no ssh connection of ours to look at.
var errNoLink = errors.New("an ssh command makes the connection")

// session is the one that is up.
func (c *Client) session() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return nil, relay.ErrClosed
	}
	return c.current, nil
}

// Forwards tries whether the bastion's sshd forwards to addr (RFC 4254, section
// 7.2), whatever the carrier is. The error is nil where it does, or cannot reach
// addr, which is no matter of forwarding, and ErrNoForwarding where it does not.
func (c *Client) Forwards(ctx context.Context, addr string) error {
	s, err := c.session()
	if err != nil {
		return err
	}
	if s.link == nil {
		return errNoLink
	}
	conn, err := s.link.DialContext(ctx, "tcp", addr)
	var refused *ssh.OpenChannelError
	switch {
	case err == nil:
		conn.Close()
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &refused) && refused.Reason == ssh.Prohibited:
		return ErrNoForwarding
	case errors.As(err, &refused):
		return nil
	}
	return err
}

// Without is why no relay carries where CarrierAuto has found none, such as
// ErrNoSession, ErrNoPrograms or a *relay.HelloError; nil else.
func (c *Client) Without() error {
	s, err := c.session()
	if err != nil {
		return nil
	}
	return s.without
}

// OpensSession tries whether the bastion's sshd opens a channel for a program
// beside the relay's, where there is one (MaxSessions in sshd_config(5)). It is
// closed at once; nothing is run. The error is ErrNoSession where it does not.
func (c *Client) OpensSession() error {
	s, err := c.session()
	if err != nil {
		return err
	}
	if s.link == nil {
		return errNoLink
	}
	ch, reqs, err := s.link.OpenChannel("session", nil)
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused):
		return ErrNoSession
	case err != nil:
		return err
	}
	go ssh.DiscardRequests(reqs) // ends with the channel
	ch.Close()
	return nil
}

// Distance measures the round trip to the bastion's sshd: the shortest of a few, for
// what exceeds it is a busy machine's doing.
func (c *Client) Distance(ctx context.Context) (time.Duration, error) {
	s, err := c.session()
	if err != nil {
		return 0, err
	}
	if s.link == nil {
		return 0, errNoLink
	}
	var best time.Duration
	for range 3 {
		sent, answered := time.Now(), make(chan time.Time, 1)
		lost := make(chan struct{})
		go func() { // ends with its answer or with the connection
			defer close(lost)
			probe(s.link.Client, answered)
		}()
		select {
		case <-lost:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		select {
		case at := <-answered:
			if d := at.Sub(sent); best == 0 || d < best {
				best = d
			}
		default:
			return 0, relay.ErrClosed
		}
	}
	return best, nil
}

// Ask sends a question to the relay that has no connection as its answer. The
// error is a *relay.Error where the relay knows no answer to it.
func (c *Client) Ask(ctx context.Context, path string) ([]byte, error) {
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	if s.relay == nil {
		return nil, fmt.Errorf("there is no relay to ask: %s", s.reason)
	}
	return s.relay.Ask(ctx, path)
}
