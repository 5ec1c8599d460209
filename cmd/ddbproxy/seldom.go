package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A warning that others can cause at will is given seldomLimit times in
// seldomPeriod; the first after that tells how many were left out.
const (
	seldomLimit  = 5
	seldomPeriod = time.Minute
)

// seldom is a log that repeats no warning too often.
type seldom struct {
	slog.Handler
	given *tally
}

// tally counts warnings by their text.
type tally struct {
	mu    sync.Mutex
	texts map[string]*warned
}

type warned struct {
	since time.Time
	n     int
}

func newSeldom(h slog.Handler) slog.Handler {
	return seldom{h, &tally{texts: make(map[string]*warned)}}
}

// Handle implements slog.Handler.
func (h seldom) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		missed, over := h.given.count(r.Message, r.Time)
		if over {
			return nil
		}
		if missed > 0 {
			r.AddAttrs(slog.Int("left_out", missed))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// count reports whether a text was given too often, and when it may be given
// again how many were not.
func (t *tally) count(text string, now time.Time) (missed int, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.texts[text]
	if w == nil {
		if len(t.texts) > 100 { // texts are ours, and few
			clear(t.texts)
		}
		w = &warned{since: now}
		t.texts[text] = w
	}
	if now.Sub(w.since) > seldomPeriod {
		missed = max(0, w.n-seldomLimit)
		*w = warned{since: now}
	}
	w.n++
	return missed, w.n > seldomLimit
}

// WithAttrs implements slog.Handler.
func (h seldom) WithAttrs(attrs []slog.Attr) slog.Handler {
	return seldom{h.Handler.WithAttrs(attrs), h.given}
}

// WithGroup implements slog.Handler.
func (h seldom) WithGroup(name string) slog.Handler {
	return seldom{h.Handler.WithGroup(name), h.given}
}
