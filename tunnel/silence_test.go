package tunnel

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// A server that has begun to ask may wait for somebody's telephone; one that
// has not is given up soon.
func TestSilenceIsBornLongerWhileAPersonIsAsked(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ask     asker
		timeout time.Duration
		allowed []string
		want    time.Duration
	}{
		{"keys only", func(string, bool) (string, error) { return "", nil }, 0, []string{"publickey"}, connectTimeout},
		{"a question", func(string, bool) (string, error) { return "", nil }, 0, []string{"publickey", "keyboard-interactive"}, personTime},
		{"nobody to ask", nil, 0, []string{"keyboard-interactive"}, connectTimeout},
		{"ConnectTimeout", nil, 3 * time.Second, []string{"publickey"}, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				defer far.Close()
				conn := watch(near)
				a := &authentication{host: &host{Methods: []string{"publickey", "keyboard-interactive"}, ConnectTimeout: tc.timeout}, ask: tc.ask, offered: new(offer)}
				if m, err := a.next(&ssh.ClientAuthContext{AllowedMethods: tc.allowed}); m != nil || err != nil {
					t.Fatalf("next = %v, %v, want the order of methods to decide", m, err)
				}
				began := time.Now()
				conn.closeWhenSilent(a.limit, new(atomic.Int32), make(chan struct{}))
				if took := time.Since(began); took < tc.want || took > tc.want+2*time.Second {
					t.Errorf("given up after %v, want %v", took, tc.want)
				}
			})
		})
	}
}

func TestSleepIsSeenByTheClocks(t *testing.T) {
	t.Parallel()
	evening := time.Date(2026, 11, 24, 18, 0, 0, 0, time.UTC)
	c := clocks{wall: evening}
	wall, running := evening, time.Duration(0)
	for _, tt := range []struct {
		name          string
		wall, running time.Duration
		want          bool
	}{
		{"a tick", time.Second, time.Second, false},
		{"a night", 14 * time.Hour, time.Second, true},
		{"a tick after it", time.Second, time.Second, false},
		{"a busy or stopped process", time.Minute, time.Minute, false},
		{"a clock that is set by NTP", 6 * time.Second, time.Second, false},
		{"a clock that is set back", -time.Hour, time.Second, false},
		{"a short sleep", 12 * time.Second, time.Second, true},
	} {
		wall, running = wall.Add(tt.wall), running+tt.running
		if got := c.slept(wall, running); got != tt.want {
			t.Errorf("%s: slept = %v, want %v", tt.name, got, tt.want)
		}
	}
}
