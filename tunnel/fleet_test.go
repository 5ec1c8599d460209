package tunnel

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// network is one where an address refuses, is silent, or answers after a time;
// it counts what it has opened.
type network struct {
	answers map[string]time.Duration // absent: refused; negative: never
	open    int
}

var errRefusal = errors.New("refused")

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	after, ok := n.answers[addr]
	if !ok {
		return nil, errRefusal
	}
	if after < 0 {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	select {
	case <-time.After(after):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	near, far := net.Pipe()
	far.Close()
	n.open++
	return &counted{near, n}, nil
}

type counted struct {
	net.Conn
	network *network
}

func (c *counted) Close() error {
	c.network.open--
	return c.Conn.Close()
}

func TestDialingTakesTheFirstThatAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		answers map[string]time.Duration
		timeout time.Duration
		want    string
		failed  []string
		after   time.Duration
		err     error
	}{
		{"all are there", map[string]time.Duration{"a": time.Millisecond, "b": 0, "c": 0}, time.Minute, "a", nil, time.Millisecond, nil},
		{"one refuses", map[string]time.Duration{"b": 0, "c": 0}, time.Minute, "b", []string{"a"}, 0, nil},
		{"one is silent", map[string]time.Duration{"a": -1, "b": time.Millisecond}, time.Minute, "b", []string{"a"}, stagger + time.Millisecond, nil},
		{"one is silent, one refuses", map[string]time.Duration{"a": -1, "c": 0}, time.Minute, "c", []string{"a", "b"}, stagger, nil},
		{"a slow network", map[string]time.Duration{"a": 3 * stagger, "b": 3 * stagger, "c": 3 * stagger}, time.Minute, "a", nil, 3 * stagger, nil},
		{"a short time for all", map[string]time.Duration{"a": -1, "b": -1, "c": 0}, time.Second, "c", []string{"a", "b"}, 500 * time.Millisecond, nil},
		{"all refuse", nil, time.Minute, "", []string{"a", "b", "c"}, 0, errRefusal},
		{"all are silent", map[string]time.Duration{"a": -1, "b": -1, "c": -1}, time.Minute, "", []string{"a", "b", "c"}, time.Minute, context.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := &network{answers: tc.answers}
				var failed []string
				began := time.Now()
				conn, addr, err := dialAny(t.Context(), n.dial, []string{"a", "b", "c"}, tc.timeout, func(addr string) { failed = append(failed, addr) })
				after := time.Since(began)
				slices.Sort(failed)
				if !errors.Is(err, tc.err) || addr != tc.want || !slices.Equal(failed, tc.failed) || after != tc.after {
					t.Errorf("%q, %v after %v, failed %q, want %q, %v after %v and %q", addr, err, after, failed, tc.want, tc.err, tc.after, tc.failed)
				}
				if conn != nil {
					conn.Close()
				}
				if n.open != 0 {
					t.Errorf("%d connections are left open", n.open)
				}
			})
		})
	}
}

func TestAddressesThatFailedComeLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d doubts
		addrs := []string{"a", "b", "c"}
		check := func(when string, want ...string) {
			t.Helper()
			<-time.After(time.Second)
			if got := d.order("name", addrs); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		check("at first", "a", "b", "c")
		d.add("name", "a")
		d.add("another", "b")
		check("after one failed", "b", "c", "a")
		d.add("name", "b")
		check("after two failed", "c", "a", "b")
		d.remove("name", "a")
		check("after one served", "a", "c", "b")
		addrs = []string{"a", "c"}
		check("when the name has changed", "a", "c")
		addrs = []string{"b", "c"}
		check("when it has changed back", "b", "c")
	})
}

func TestAddressKeepsItsZone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, family, want string }{
		{"fe80::1%lo", "", "[fe80::1%lo]:22"},
		{"fe80::1%lo", "tcp6", "[fe80::1%lo]:22"},
		{"fe80::1%lo", "tcp4", ""},
		{"192.0.2.1", "tcp4", "192.0.2.1:22"},
		{"192.0.2.1", "tcp6", ""},
		{"::1", "", "[::1]:22"},
	} {
		h := &host{HostName: tt.name, Port: "22", AddressFamily: tt.family}
		got, err := h.addresses(t.Context(), new(net.Dialer))
		if strings.Join(got, " ") != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s %s: %q, %v, want %q", tt.name, tt.family, got, err, tt.want)
		}
	}
}
