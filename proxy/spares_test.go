package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// count returns the number of spares that lie ready.
func (p *spares) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready)
}

func TestFirstCallsFindWarmConnectionsAndTheyAreReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		if err := s.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.dialled() != 2 || s.spares.count() != 2 {
			t.Fatalf("Warm dialled %d and keeps %d, want 2 and 2", f.dialled(), s.spares.count())
		}
		// With the way out closed, only what is ready can serve.
		dial := s.Dial
		var shut atomic.Bool
		var refused atomic.Int32
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if shut.Load() {
				refused.Add(1)
				return nil, hopFailure{"ssh", "shut", true}
			}
			return dial(ctx, network, addr)
		}
		shut.Store(true)
		if w := ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1")); w.Code != http.StatusOK {
			t.Fatalf("answer = %d %s, want 200 over a spare", w.Code, w.Body)
		}
		for _, want := range []int32{0, 1} { // other calls go first
			synctest.Wait()
			if got := refused.Load(); got != want {
				t.Errorf("%d dials for a successor, want %d", got, want)
			}
			time.Sleep(spareLull)
		}
		shut.Store(false)
		time.Sleep(2 * time.Second) // in the bubble: past the pause after the failed refill
		synctest.Wait()
		if s.spares.count() != 2 || f.dialled() != 3 {
			t.Errorf("%d spares after %d dials, want 2 after 3", s.spares.count(), f.dialled())
		}
	})
}

func TestSparesAreRenewedAndFewerWhenUnused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		if err := s.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		passed := time.Duration(0)
		for _, tt := range []struct {
			until  time.Duration
			spares int
			dials  int
		}{
			{44 * time.Second, 2, 2},
			{46 * time.Second, 2, 4},
			{91 * time.Second, 2, 6},
			{16 * time.Minute, 1, 43}, // the 21st renewal, at 15m45s, is of one
			{17 * time.Minute, 1, 44},
		} {
			time.Sleep(tt.until - passed)
			passed = tt.until
			synctest.Wait()
			if s.spares.count() != tt.spares || f.dialled() != tt.dials {
				t.Errorf("after %v: %d spares after %d dials, want %d after %d", tt.until, s.spares.count(), f.dialled(), tt.spares, tt.dials)
			}
		}
		if w := ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1")); w.Code != http.StatusOK {
			t.Fatalf("answer = %d, want 200", w.Code)
		}
		time.Sleep(spareLull)
		synctest.Wait()
		if s.spares.count() != 2 {
			t.Errorf("%d spares after use, want 2 again", s.spares.count())
		}
	})
}

func TestSparesAreAsManyAsABurstWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(40 * time.Millisecond) // none is ready again before all six have wanted one
			return f.Dial(ctx, network, addr)
		}
		if err := s.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := make(chan struct{})
		var waiting atomic.Int32
		f.answer(func(w http.ResponseWriter, _ *http.Request) {
			if waiting.Add(1) == 6 {
				close(all)
			}
			<-all // all six are in flight at a time
			awsAnswer(w, http.StatusOK, okBody)
		})
		var calls sync.WaitGroup
		for range 6 {
			calls.Go(func() {
				if w := ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1")); w.Code != http.StatusOK {
					t.Errorf("answer = %d, want 200", w.Code)
				}
			})
		}
		calls.Wait()
		time.Sleep(time.Minute) // idle connections have ended
		synctest.Wait()
		if got := s.spares.count(); got != 6 {
			t.Errorf("%d spares after six calls at a time, want as many", got)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if got := s.spares.count(); got != 1 {
			t.Errorf("%d spares after long idleness, want 1", got)
		}
	})
}

func TestDeadSparesAreNotHandedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		var mu sync.Mutex
		var conns []net.Conn
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := f.Dial(ctx, network, addr)
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			return conn, err
		}
		if err := s.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range conns[:2] {
			c.Close() // as a tunnel closes its streams when it breaks
		}
		if w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1")); w.Code != http.StatusOK {
			t.Errorf("answer = %d %s, want 200", w.Code, w.Body)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		// Three where none was ready yet when one was wanted.
		if got := s.spares.count(); got < 2 || got > 3 {
			t.Errorf("%d spares afterwards, want 2 or 3", got)
		}
	})
}

func TestConnectionsThatDieAtOnceAreAskedForEverMoreRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		p := newSpares("x:443", func(context.Context) (*upstreamConn, error) {
			dials.Add(1)
			near, far := net.Pipe()
			far.Close()
			return newUpstreamConn(near, newRawConn(near), "x:443"), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var keep sync.WaitGroup
		p.touch()
		keep.Go(func() { p.keep(ctx) })
		time.Sleep(5 * time.Minute)
		cancel()
		keep.Wait()
		p.close()
		if got := dials.Load(); got < 20 || got > 40 {
			t.Errorf("%d dials in 5 minutes, want about 30", got)
		}
	})
}

func TestWarmSaysWhyAndGoesOnTrying(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		var up atomic.Bool
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if up.Load() {
				return f.Dial(ctx, network, addr)
			}
			return nil, hopFailure{"relay", "dynamodb.eu-west-1.amazonaws.com does not resolve at the bastion", true}
		}
		err := s.Warm(t.Context())
		var unreachable *UnreachableError
		if !errors.As(err, &unreachable) || unreachable.Hop() != "relay" || !unreachable.Permanent() ||
			err.Error() != "relay: dynamodb.eu-west-1.amazonaws.com does not resolve at the bastion" {
			t.Errorf("Warm = %v", err)
		}
		var cause hopFailure
		if !errors.As(err, &cause) {
			t.Errorf("Warm = %v, which does not wrap the dial's error", err)
		}
		up.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.spares.count(); got != 2 {
			t.Errorf("%d spares a minute later, want 2", got)
		}
	})
}

func TestWarmNeedsAnEndpoint(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*Server{
		"no region":    {},
		"bad endpoint": {Endpoint: "evil.example", Regions: []string{"eu-west-1"}},
	} {
		if err := s.Warm(t.Context()); err == nil || !strings.Contains(err.Error(), "is not a DynamoDB endpoint") {
			t.Errorf("%s: Warm = %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReadAheadLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := newRawConn(near)
		var watch sync.WaitGroup
		c.watch(&watch, func() { t.Error("told dead while alive") })
		write := func(s string) {
			if _, err := far.Write([]byte(s)); err != nil {
				t.Error(err)
			}
		}
		write("tickets ")
		synctest.Wait()
		if !c.take() {
			t.Fatal("take = false, want true")
		}
		watch.Go(func() { write("answer, first part "); write("second"); far.Close() })
		var got []byte
		for buf := make([]byte, 5); ; {
			n, err := c.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		watch.Wait()
		if want := "tickets answer, first part second"; string(got) != want {
			t.Errorf("read %q, want %q", got, want)
		}
	})
}
