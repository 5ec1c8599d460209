package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestRequestWaitsForTheTunnelAndIsServed(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]dialFunc{
		"dial blocks": func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"dial fails at once": failingDial(hopFailure{"ssh", "reconnecting", false}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAWS(t)
				s, _ := newServer(t, f)
				start := time.Now()
				s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					up := start.Add(15 * time.Second)
					ctx, cancel := context.WithDeadline(ctx, up)
					defer cancel()
					if time.Now().Before(up) {
						conn, err := down(ctx, network, addr)
						if !errors.Is(err, context.DeadlineExceeded) {
							return conn, err
						}
					}
					return f.Dial(context.Background(), network, addr)
				}
				w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
				if w.Code != http.StatusOK {
					t.Fatalf("answer = %d %s, want 200", w.Code, w.Body)
				}
				if waited := time.Since(start); waited < 15*time.Second || waited > 17*time.Second {
					t.Errorf("answered after %v, want soon after 15s", waited)
				}
			})
		})
	}
}

func TestHoldEndsInServiceUnavailable(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]dialFunc{
		"dial heeds its context": func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"dial heeds nothing for a minute": func(context.Context, string, string) (net.Conn, error) {
			<-time.After(time.Minute)
			return nil, errors.New("late")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, _ := newServer(t, newFakeAWS(t))
				s.Dial = dial
				start := time.Now()
				w := ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1"))
				wantError(t, w, 503, unavailable, "dial: no connection to dynamodb.eu-west-1.amazonaws.com within 20s: the connection through the bastion is not up")
				if waited := time.Since(start); waited < 20*time.Second || waited > 21*time.Second {
					t.Errorf("answered after %v, want the hold of 20s", waited)
				}
			})
		})
	}
}

// What was heard last is told, and not that nothing more was.
func TestHoldEndsWithTheLastReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, newFakeAWS(t))
		first := true
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if first {
				first = false
				return nil, hopFailure{"relay", "it died", false}
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		w := ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1"))
		wantError(t, w, 503, unavailable, "relay: no connection to dynamodb.eu-west-1.amazonaws.com within 20s: it died; nothing was sent")
	})
}

// breakAfter makes the fake close the connection instead of answering the first n requests.
func breakAfter(n int64) http.HandlerFunc {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) <= n {
			panic(http.ErrAbortHandler)
		}
		awsAnswer(w, http.StatusOK, okBody)
	}
}

func TestWhatIsSentAgainAfterABreak(t *testing.T) {
	t.Parallel()
	const token = `{"ClientRequestToken":"91901a8c","TransactItems":[]}`
	for _, tt := range []struct {
		name, op, body string
		breaks         int64
		status, sent   int
		sentence       string
	}{
		{"read", "GetItem", getItem, 1, 200, 2, ""},
		{"read, three times", "Query", getItem, 3, 200, 4, ""},
		{"read, for ever", "Scan", getItem, 99, 500, 4, "broke 4 times before Scan was answered; it may be sent again"},
		{"list", "ListTables", `{}`, 1, 200, 2, ""},
		{"transaction with token", "TransactWriteItems", token, 1, 200, 2, ""},
		{"PartiQL transaction with token", "ExecuteTransaction", token, 1, 200, 2, ""},
		{"transaction without token", "TransactWriteItems", `{"TransactItems":[]}`, 1, 500, 1, "may or may not have happened"},
		{"transaction, token in wrong case", "TransactWriteItems", `{"clientrequesttoken":"x"}`, 1, 500, 1, "may or may not have happened"},
		{"transaction, token deeper", "TransactWriteItems", `{"a":{"ClientRequestToken":"x"}}`, 1, 500, 1, "may or may not have happened"},
		{"write", "PutItem", getItem, 1, 500, 1, "after PutItem was sent: the write may or may not have happened"},
		{"update", "UpdateItem", getItem, 1, 500, 1, "may or may not have happened"},
		{"batch write", "BatchWriteItem", getItem, 1, 500, 1, "may or may not have happened"},
		{"PartiQL, no statement", "ExecuteStatement", getItem, 1, 500, 1, "may or may not have happened"},
		{"PartiQL read", "ExecuteStatement", `{"Statement":" select * from \"a\""}`, 1, 200, 2, ""},
		{"PartiQL write", "ExecuteStatement", `{"Statement":"INSERT INTO \"select\" VALUE {'a': 'SELECT'}"}`, 1, 500, 1, "may or may not have happened"},
		{"PartiQL, another word", "ExecuteStatement", `{"Statement":"SELECTED x"}`, 1, 500, 1, "may or may not have happened"},
		{"PartiQL, wrong case of the field", "ExecuteStatement", `{"statement":"SELECT * FROM a"}`, 1, 500, 1, "may or may not have happened"},
		{"control plane", "CreateTable", getItem, 1, 500, 1, "may or may not have happened"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAWS(t)
				f.answer(breakAfter(tt.breaks))
				s, _ := newServer(t, f)
				w := ask(s, signed(t, tt.op, tt.body, profileKey, "eu-west-1"))
				if tt.status == http.StatusOK {
					if w.Code != http.StatusOK || w.Body.String() != okBody {
						t.Errorf("answer = %d %s, want 200", w.Code, w.Body)
					}
				} else {
					wantError(t, w, tt.status, internalError, tt.sentence)
				}
				if got := len(f.requests()); got != tt.sent {
					t.Errorf("AWS received it %d times, want %d", got, tt.sent)
				}
			})
		})
	}
}

// What was sent once and finds no connection a second time is not said to be unsent.
func TestHoldAfterABreakSaysThatItWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		f.answer(breakAfter(99))
		s, _ := newServer(t, f)
		var dials atomic.Int64
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				return nil, hopFailure{"ssh", "reconnecting", false}
			}
			return f.Dial(ctx, network, addr)
		}
		w := ask(s, signed(t, "TransactWriteItems", `{"ClientRequestToken":"91901a8c","TransactItems":[]}`, profileKey, "eu-west-1"))
		wantError(t, w, 503, unavailable,
			"ssh: no connection to dynamodb.eu-west-1.amazonaws.com within 20s: reconnecting; it was sent before and not answered, and may be sent again")
		if got := len(f.requests()); got != 1 {
			t.Errorf("AWS received it %d times, want once", got)
		}
	})
}

// A deadConn is one whose far end has gone without a word: nothing can be written on it.
type deadConn struct {
	net.Conn
	dead *atomic.Bool
}

func (c deadConn) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

func TestStalePooledConnectionDoesNotFailAWriteThatWasNeverSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		var dead atomic.Bool
		dials := 0
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := f.Dial(ctx, network, addr)
			if dials++; dials == 1 {
				return deadConn{conn, &dead}, err
			}
			return conn, err
		}
		put := func() int { return ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1")).Code }
		if code := put(); code != http.StatusOK {
			t.Fatalf("first write = %d, want 200", code)
		}
		synctest.Wait() // until the connection is back in the pool
		dead.Store(true)
		if code := put(); code != http.StatusOK {
			t.Errorf("write on the stale connection = %d, want 200", code)
		}
		if got := len(f.requests()); got != 2 || dials != 2 {
			t.Errorf("AWS received %d writes over %d connections, want 2 over 2", got, dials)
		}
	})
}

func TestNewConnectionThatTakesNothingDoesNotFailAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		dials := 0
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := f.Dial(ctx, network, addr)
			if dials++; dials == 1 {
				return &mutedConn{Conn: conn}, err
			}
			return conn, err
		}
		w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
		if w.Code != http.StatusOK || len(f.requests()) != 1 || dials != 2 {
			t.Errorf("answer = %d %s, AWS received %d over %d connections; want 200, 1 over 2", w.Code, w.Body, len(f.requests()), dials)
		}
	})
}

// A mutedConn carries a handshake (a hello, then a finish) and fails every write after it without sending a byte.
type mutedConn struct {
	net.Conn
	writes int
}

func (c *mutedConn) Write(p []byte) (int, error) {
	if c.writes++; c.writes > 2 {
		return 0, syscall.ECONNRESET
	}
	return c.Conn.Write(p)
}
