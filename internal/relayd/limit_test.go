package relayd

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// gated opens a connection under limits; far is its other end.
func gated(t *testing.T, l limits) (g *gate, conn, far net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	g = &gate{limits: l, dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	conn, err := g.DialContext(t.Context(), "tcp", "x:443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); far.Close() })
	return g, conn, far
}

func TestSilentConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, conn, far := gated(t, limits{idle: time.Minute})
		ended := make(chan time.Time, 1)
		go func() {
			io.Copy(io.Discard, far)
			ended <- time.Now()
		}()
		time.Sleep(50 * time.Second)
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		last := time.Now()
		if got := (<-ended).Sub(last); got != time.Minute {
			t.Errorf("closed after %v of silence, want 1m", got)
		}
	})
}

func TestBandwidthIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, conn, far := gated(t, limits{bandwidth: 100 << 10})
		go io.Copy(io.Discard, far)
		start := time.Now()
		for range 100 {
			if _, err := conn.Write(make([]byte, 10<<10)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 9800*time.Millisecond || took > 10*time.Second {
			t.Errorf("1000 KiB took %v at 100 KiB/s", took)
		}
	})
}

// A connection that waits for its turn can be closed.
func TestThrottledConnectionCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, conn, far := gated(t, limits{bandwidth: minBandwidth})
		go io.Copy(io.Discard, far)
		start := time.Now()
		written := make(chan struct{})
		go func() {
			conn.Write(make([]byte, 64<<10))
			close(written)
		}()
		synctest.Wait()
		conn.Close()
		<-written
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	g, first, _ := gated(t, limits{connections: 1})
	_, err := g.DialContext(t.Context(), "tcp", "x:443")
	var full *relay.Error
	if !errors.As(err, &full) || full.Kind != relay.KindLimit || full.Permanent() {
		t.Errorf("second connection: %v, want a refusal that passes", err)
	}
	first.Close()
	first.Close() // counts once
	second, err := g.DialContext(t.Context(), "tcp", "x:443")
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	defer second.Close()
	if n := g.open.Load(); n != 1 {
		t.Errorf("%d are open, want 1", n)
	}
}

func TestRelayEndsInAQuietMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			name string
			busy time.Duration // how long bytes pass
			want time.Duration
		}{
			{"silent", 0, time.Hour},
			{"busy for a while", time.Hour + 10*time.Second, time.Hour + 11*time.Second},
			{"busy for ever", 3 * time.Hour, time.Hour + patience},
		} {
			g, conn, far := gated(t, limits{lifetime: time.Hour})
			go io.Copy(io.Discard, far)
			start := time.Now()
			ctx, stop := context.WithCancel(t.Context())
			var load sync.WaitGroup
			load.Go(func() {
				for time.Since(start) < tc.busy && ctx.Err() == nil {
					conn.Write([]byte("x"))
					time.Sleep(quiet / 2)
				}
			})
			g.expire(t.Context(), func() {})
			took := time.Since(start)
			stop()
			load.Wait()
			if took < tc.want-quiet || took > tc.want+quiet {
				t.Errorf("%s: ended after %v, want about %v", tc.name, took, tc.want)
			}
		}
	})
}

func TestNarrowerLimitsHold(t *testing.T) {
	t.Parallel()
	a := limits{connections: 5, bandwidth: 1 << 20, idle: time.Hour}
	b := limits{connections: 7, idle: time.Minute, lifetime: time.Hour}
	want := limits{connections: 5, bandwidth: 1 << 20, idle: time.Minute, lifetime: time.Hour}
	if got := a.with(b); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := b.with(a); got != want {
		t.Errorf("the other way round: %+v, want %+v", got, want)
	}
}
