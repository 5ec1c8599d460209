package tunnel

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// program is a remote whose end is that of its pipe.
type program struct{ net.Conn }

func (program) CloseWrite() error { return nil }
func (program) wait() error       { return nil }
func (program) hasEnded() bool    { return true }
func (program) ownEnd() bool      { return true }
func (program) said() string      { return "Killed" }

// pipedRelay is a relay that lives until end.
func pipedRelay(t *testing.T) (r *runningRelay, end context.CancelFunc) {
	t.Helper()
	near, a := net.Pipe()
	far, b := net.Pipe()
	pass := func(to, from net.Conn) { // both say hello first: one has to be held
		io.Copy(to, from)
		to.Close()
	}
	go pass(a, b)
	go pass(b, a)
	ctx, end := context.WithCancel(t.Context())
	go (&relay.Server{Version: "test"}).Serve(ctx, far)
	began := time.Now()
	c, err := relay.NewClient(t.Context(), near, "test")
	if err != nil {
		t.Error(err)
	}
	return &runningRelay{Client: c, remote: program{near}, began: began}, end
}

// TestFurtherRelaysThatEndSoonAreNotStartedWithoutEnd: those that end are not
// counted, whether or not anything is dialled, and are started again only where
// they have lived for a while.
func TestFurtherRelaysThatEndSoonAreNotStartedWithoutEnd(t *testing.T) {
	for _, tc := range []struct {
		name  string
		life  time.Duration
		dials bool
		want  int32 // starts
	}{
		{"soon", 100 * time.Millisecond, false, someStripes - 1},
		{"soon, seen by a dial", 100 * time.Millisecond, true, someStripes - 1},
		{"just within", stripeTrial - time.Second, false, someStripes - 1},
		{"later", stripeTrial + time.Second, false, 3 * (someStripes - 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, end := pipedRelay(t)
				defer end()
				var starts atomic.Int32
				full := make(chan struct{}, 1)
				st := &stripes{relays: []*runningRelay{first}, full: full, log: slog.New(slog.DiscardHandler)}
				st.more = func(context.Context) (*runningRelay, error) {
					starts.Add(1)
					r, end := pipedRelay(t)
					time.AfterFunc(tc.life, end)
					return r, nil
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); st.run(ctx) }()
				time.Sleep(stripeSettle + time.Second)
				for range 3 {
					notify(full)
					synctest.Wait()
					time.Sleep(tc.life)
					if tc.dials { // none is allowed, and the first relay says so
						if _, err := st.dial(ctx, "tcp", target, false); isLost(err) {
							t.Error(err)
						}
					}
					time.Sleep(stripeSettle + time.Second)
					synctest.Wait()
					if n := st.count(); n != 1 {
						t.Errorf("%d relays, want the first alone", n)
					}
				}
				if n := starts.Load(); n != tc.want {
					t.Errorf("%d further relays were started, want %d", n, tc.want)
				}
				cancel()
				<-ended
				st.close()
			})
		})
	}
}

// Relays that were let go are not lost.
func TestFurtherRelaysComeBackAfterACalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, end := pipedRelay(t)
		defer end()
		st := &stripes{relays: []*runningRelay{first}, log: slog.New(slog.DiscardHandler)}
		st.more = func(context.Context) (*runningRelay, error) {
			r, _ := pipedRelay(t)
			return r, nil
		}
		for range 2 {
			if !st.widen(t.Context()) || st.count() != someStripes {
				t.Errorf("%d relays", st.count())
			}
			st.narrow()
			synctest.Wait()
			if n := st.count(); n != 1 || st.brittle.Load() {
				t.Errorf("%d relays, brittle %v", n, st.brittle.Load())
			}
		}
		st.close()
	})
}
