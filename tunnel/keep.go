package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Reconnect times. The first attempt comes at once. A waiting request cuts a
// pause short, but not below minPause, so that a broken set-up is not hammered.
const (
	minPause = 200 * time.Millisecond
	maxPause = 30 * time.Second

	// A login that was refused is refused again until somebody does something,
	// and a server may lock out who goes on trying (fail2ban, MaxAuthTries).
	minLoginPause = 30 * time.Second
	maxLoginPause = 5 * time.Minute

	// What lasts no longer than this counts as another failed attempt, up to
	// one whose pause is a few seconds: it may be an administrator at work.
	shortLife = 10 * time.Second
	maxShort  = 6
)

// keep replaces the session each time it ends, until ctx does. s is nil where
// the first attempt has failed.
func (c *Client) keep(ctx context.Context, s *session) {
	attempt := 0
	if s == nil {
		c.pause(ctx, attempt, c.Status().Err)
		attempt++
	}
	for {
		if s == nil {
			s = c.reopen(ctx, attempt)
		}
		if s == nil {
			c.set(nil, ErrClosed)
			return
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			s.Close()
			c.set(nil, ErrClosed)
			return
		}
		c.log().Warn("tunnel down", "reason", s.err)
		c.set(nil, s.trouble())
		attempt = min(attempt+1, maxShort)
		if time.Since(s.began) > shortLife {
			attempt = 0
		}
		if attempt > 0 {
			c.pause(ctx, attempt-1, nil)
		}
		s = c.reload(ctx, s)
	}
}

// reload starts the carrier again on the connection that old stood on, if that
// is still there: nobody has to log in again for it. It returns nil when a new
// connection is needed.
func (c *Client) reload(ctx context.Context, old *session) *session {
	if old.alive() && old.relay.remote.hasEnded() && ctx.Err() == nil {
		s, err := c.load(ctx, old.link)
		if err == nil {
			c.up(s)
			return s
		}
		c.log().Info("no new relay on the same connection", "err", err)
	}
	old.Close()
	return nil
}

// reopen tries until it has a session; nil when ctx ended.
func (c *Client) reopen(ctx context.Context, attempt int) *session {
	last := ""
	for ; ; attempt++ {
		s, err := c.open(ctx)
		if err == nil {
			c.up(s)
			return s
		}
		if ctx.Err() != nil {
			return nil
		}
		level := slog.LevelInfo // the same reason again is for -v only
		if err.Error() != last {
			level, last = slog.LevelWarn, err.Error()
		}
		c.log().Log(ctx, level, "reconnect", "attempt", attempt+1, "err", err)
		c.set(nil, err)
		if !c.pause(ctx, attempt, err) {
			return nil
		}
	}
}

func (c *Client) up(s *session) {
	c.log().Info("tunnel up again", "server", s.server, "carrier", string(s.carrier))
	c.set(s, nil)
}

// pause waits before the next attempt: 0.2 s doubling to 30 s, of which a
// random half is taken so that many laptops do not come back in step. A
// waiting request or a change of this machine's network ends it early. It
// returns false when ctx ended.
func (c *Client) pause(ctx context.Context, attempt int, failure error) bool {
	full := min(maxPause, minPause<<min(attempt, 10))
	least := max(minPause, full/8)
	var e *Error
	if errors.As(failure, &e) && e.Kind == KindAuth {
		full = min(maxLoginPause, minLoginPause<<min(attempt, 10))
		least = max(minLoginPause, full/2)
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	network := watchNetwork(watching)
	short := time.NewTimer(min(full, least))
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
	case <-network:
	case <-ctx.Done():
		return false
	}
	return true
}
