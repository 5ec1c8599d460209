//go:build linux

package e2e

import (
	"context"
	"strings"
	"sync"
	"time"
)

// turn is one call of a load.
type turn struct {
	n            int
	began, ended time.Time
	err          error
}

// load makes the same call again and again: one at a time, and not sooner than
// pace after the one before began.
type load struct {
	pace time.Duration
	call func(ctx context.Context, n int) error
	done func(turn)

	mu   sync.Mutex // held during a call
	next int
}

// run goes on until ctx ends. The call that is under way then is finished.
func (l *load) run(ctx context.Context) {
	tick := time.NewTicker(l.pace)
	defer tick.Stop()
	for ctx.Err() == nil {
		l.one(context.WithoutCancel(ctx))
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (l *load) one(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := turn{n: l.next, began: time.Now()}
	l.next++
	now.err = l.call(ctx, now.n)
	now.ended = time.Now()
	l.done(now)
}

// pause waits for the call that is under way and lets no other begin until
// resume. Loads have a client each, so a test may pause them one by one.
func (l *load) pause()  { l.mu.Lock() }
func (l *load) resume() { l.mu.Unlock() }

// score counts what became of the calls of a load.
type score struct {
	reads bool // that broke may have been sent again before

	mu                            sync.Mutex
	acknowledged, unsure, refused int
	odd                           error // an answer that should not be
}

func (s *score) add(now turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := complaintOf(now.err)
	switch {
	case now.err == nil:
		s.acknowledged++
	case said.code == "InternalServerError" && strings.Contains(said.message, "may or may not have happened"):
		s.unsure++
	case said.code == "ServiceUnavailable" && (strings.Contains(said.message, "nothing was sent") || s.reads):
		s.refused++
	default:
		s.odd = now.err
	}
}

func (s *score) counts() (acknowledged, unsure, refused int, odd error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acknowledged, s.unsure, s.refused, s.odd
}
