package lab

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestFreshPostsShareNothing(t *testing.T) {
	t.Parallel()
	var conns, resumed atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			resumed.Add(1)
		}
		if body, err := io.ReadAll(r.Body); r.Method != "POST" || string(body) != "{}" || err != nil {
			t.Errorf("%s %q, %v", r.Method, body, err)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	f := FreshPosts{
		Dial: new(net.Dialer).DialContext,
		Addr: s.Listener.Addr().String(),
		TLS:  s.Client().Transport.(*http.Transport).TLSClientConfig,
		Request: func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, "POST", "https://example.com/", strings.NewReader("{}"))
		},
	}
	times, err := f.Measure(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	if len(times) != 5 || !slices.IsSorted(times) || times[0] <= 0 {
		t.Errorf("times = %v, want 5, sorted", times)
	}
	if conns.Load() != 5 || resumed.Load() != 0 {
		t.Errorf("%d connections, %d resumed, want 5 and none", conns.Load(), resumed.Load())
	}
}

func TestFreshPostsRefusesOtherAnswers(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no tunnel", http.StatusServiceUnavailable)
	}))
	defer s.Close()
	f := FreshPosts{
		Dial: new(net.Dialer).DialContext,
		Request: func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, "POST", s.URL, nil)
		},
	}
	_, err := f.Measure(t.Context(), 3)
	const want = "request 1 of 3: answer is 503 Service Unavailable: no tunnel\n"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestPercentileIsNearestRank(t *testing.T) {
	t.Parallel()
	ten := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, tt := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{nil, 50, 0}, {ten[:1], 99, 1}, {ten, 0, 1}, {ten, 50, 5}, {ten, 51, 6}, {ten, 90, 9}, {ten, 99, 10}, {ten, 100, 10},
	} {
		if got := Percentile(tt.sorted, tt.p); got != tt.want {
			t.Errorf("Percentile(%v, %v) = %d, want %d", tt.sorted, tt.p, got, tt.want)
		}
	}
}
