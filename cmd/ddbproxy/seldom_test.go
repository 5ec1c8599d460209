package main

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever opens connections without a key must not fill the log.
func TestWarningsAreNotRepeatedWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		log := slog.New(newSeldom(slog.NewTextHandler(&text, nil))).With("of", "the test")
		for range 1000 {
			log.Warn("a client spoke TLS", "client", "x")
			log.Info("told each time")
		}
		log.Warn("another")
		if n := strings.Count(text.String(), "spoke TLS"); n != seldomLimit {
			t.Errorf("it was given %d times, want %d", n, seldomLimit)
		}
		if n := strings.Count(text.String(), "told each time"); n != 1000 {
			t.Errorf("%d lines that are no warnings, want 1000", n)
		}
		if !strings.Contains(text.String(), "msg=another") {
			t.Error("another warning was left out")
		}
		text.Reset()
		time.Sleep(seldomPeriod + time.Second)
		log.Warn("a client spoke TLS", "client", "y")
		if want := "left_out=995"; !strings.Contains(text.String(), "client=y") || !strings.Contains(text.String(), want) {
			t.Errorf("after a minute: %q, want %q in it", &text, want)
		}
	})
}
