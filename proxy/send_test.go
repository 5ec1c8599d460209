package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// hopFailure is an error as a tunnel makes them.
type hopFailure struct {
	hop, text string
	permanent bool
}

func (e hopFailure) Error() string   { return e.text }
func (e hopFailure) Hop() string     { return e.hop }
func (e hopFailure) Permanent() bool { return e.permanent }

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func failingDial(err error) dialFunc {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}

type dialFailure struct {
	name     string
	err      error
	status   int
	kind     string
	sentence string
}

func dialFailures() []dialFailure {
	return []dialFailure{
		{"host key", hopFailure{"ssh", "host key of bastion changed", true}, 400, bastionUnreachable, "ssh: host key of bastion changed"},
		{"relay refuses", hopFailure{"relay", "region not allowed", true}, 400, bastionUnreachable, "relay: region not allowed"},
		{"name unknown at the bastion", hopFailure{"dns", "no such host", true}, 400, endpointUnreachable, "dns: no such host"},
		{"no such host", &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, 400, endpointUnreachable, "dns: lookup x: no such host"},
		{"bastion reconnecting", hopFailure{"ssh", "bastion does not answer", false}, 503, unavailable, "ssh: no connection to dynamodb.eu-west-1.amazonaws.com within"},
		{"name server silent", &net.DNSError{Err: "timeout", Name: "x", IsTimeout: true}, 503, unavailable, "dns: no connection"},
		{"unexplained", errors.New("wires cut"), 503, unavailable, "dial: no connection to dynamodb.eu-west-1.amazonaws.com within 1s: wires cut; nothing was sent, and trying again is safe"},
	}
}

func TestDialFailuresNameTheHop(t *testing.T) {
	t.Parallel()
	for _, tt := range dialFailures() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, _ := newServer(t, newFakeAWS(t))
				s.Dial, s.Hold = failingDial(tt.err), time.Second
				start := time.Now()
				w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
				wantError(t, w, tt.status, tt.kind, tt.sentence)
				waited := time.Since(start)
				if permanent := tt.status == http.StatusBadRequest; permanent && waited != 0 {
					t.Errorf("waited %v for what does not pass", waited)
				} else if !permanent && (waited == 0 || waited > time.Second) {
					t.Errorf("waited %v, want up to the hold of 1s", waited)
				}
				retry := w.Header().Get("Retry-After") + " " + w.Header().Get("X-Amz-Retry-After")
				if want := map[int]string{400: " ", 503: "2 2000"}[tt.status]; retry != want {
					t.Errorf("Retry-After and X-Amz-Retry-After = %q, want %q", retry, want)
				}
			})
		})
	}
}

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
		{"PartiQL", "ExecuteStatement", getItem, 1, 500, 1, "may or may not have happened"},
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

func TestSealedConnectionTakesNoMoreWrites(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := &upstreamConn{Conn: near, raw: newRawConn(near)}
	if got := c.seal(); got != 0 {
		t.Errorf("seal = %d writes, want 0", got)
	}
	if _, err := c.Write([]byte("late")); !errors.Is(err, net.ErrClosed) || c.written() != 0 {
		t.Errorf("Write after seal = %v, %d counted; want net.ErrClosed, 0", err, c.written())
	}
}

func TestCertificateFailuresAreToldApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		server   func(*Server, *fakeAWS)
		region   string
		status   int
		kind     string
		sentence string
	}{
		{"inspected", func(s *Server, f *fakeAWS) { s.RootCAs = x509.NewCertPool() }, "eu-west-1", 400, endpointUnreachable, "(issuer CN=pretend authority); if your network inspects TLS, pass its CA certificate with --ca-bundle"},
		{"other name", nil, "eu-west-2", 400, endpointUnreachable, "the certificate presented is not for dynamodb.eu-west-2.amazonaws.com"},
		{"expired", func(s *Server, f *fakeAWS) { serveExpired(s, f) }, "eu-west-1", 400, endpointUnreachable, "not valid at this machine's time; set its clock"},
		{"no TLS", func(s *Server, f *fakeAWS) { s.Dial = answering(f.t, "HTTP/1.1 400 Bad Request\r\n\r\n") }, "eu-west-1", 400, endpointUnreachable, "does not speak TLS"},
		{"closed", func(s *Server, f *fakeAWS) { s.Dial = answering(f.t, "") }, "eu-west-1", 503, unavailable, "aws: no connection to dynamodb.eu-west-1.amazonaws.com within 1s: the connection to dynamodb.eu-west-1.amazonaws.com was closed"},
		{"silent", func(s *Server, f *fakeAWS) {
			s.Hold = 30 * time.Second
			s.Dial = answering(f.t, "silence")
		}, "eu-west-1", 503, unavailable, "did not finish the TLS handshake within 10s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAWS(t)
				s, _ := newServer(t, f)
				s.Regions, s.Hold = []string{"eu-west-1", "eu-west-2"}, time.Second
				if tt.server != nil {
					tt.server(s, f)
				}
				wantError(t, ask(s, signed(t, "PutItem", getItem, profileKey, tt.region)), tt.status, tt.kind, tt.sentence)
			})
		})
	}
}

// serveExpired puts a server with an expired certificate, which s trusts, behind s.
func serveExpired(s *Server, f *fakeAWS) {
	cert, roots := newCertificate(f.t, time.Now().Add(-time.Hour))
	s.RootCAs = roots
	s.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		f.serve.Go(func() {
			defer far.Close()
			_ = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
		})
		return near, nil
	}
}

// answering dials to something that reads a hello and writes text, or never answers at all.
func answering(t testing.TB, text string) dialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { // ends when near is closed
			defer far.Close()
			_, _ = far.Read(make([]byte, 4096))
			if text == "silence" {
				_, _ = io.Copy(io.Discard, far)
				return
			}
			_, _ = io.WriteString(far, text)
		}()
		t.Cleanup(func() { near.Close() })
		return near, nil
	}
}

func TestStreamsFailureExplainsGatewayEndpoints(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFakeAWS(t))
	s.Dial = failingDial(hopFailure{"aws", "connection refused", true})
	w := ask(s, at("/", "DynamoDBStreams_20120810.ListStreams")(t))
	wantError(t, w, 400, endpointUnreachable, "needs an interface endpoint com.amazonaws.eu-west-1.dynamodb-streams")
}

func TestClockIsLearntFromAWSAndARefusedDateIsSignedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		// This machine is an hour slow. AWS refuses what is more than 5 minutes off.
		awsNow := func() time.Time { return time.Now().Add(time.Hour) }
		f.answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", awsNow().UTC().Format(http.TimeFormat))
			date, err := time.Parse(amzDateFmt, r.Header.Get("X-Amz-Date"))
			if err != nil || awsNow().Sub(date).Abs() > 5*time.Minute {
				awsAnswer(w, http.StatusBadRequest, `{"__type":"InvalidSignatureException"}`)
				return
			}
			awsAnswer(w, http.StatusOK, okBody)
		})
		for n, wantSent := range []int{2, 3} {
			w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
			if w.Code != http.StatusOK || len(f.requests()) != wantSent {
				t.Fatalf("write %d: answer = %d %s after %d requests, want 200 after %d", n, w.Code, w.Body, len(f.requests()), wantSent)
			}
		}
		w := ask(s, withHeader("Authorization")(t))
		if got, want := w.Header().Get("Date"), awsNow().UTC().Format(http.TimeFormat); got != want {
			t.Errorf("Date of our own answer = %s, want AWS's time %s", got, want)
		}
		// A client that has moved its clock to AWS's is in time, one between the two is not.
		for ahead, want := range map[time.Duration]bool{0: true, time.Hour: true, -4 * time.Minute: true, 64 * time.Minute: true, 30 * time.Minute: false, 66 * time.Minute: false} {
			if got := s.clock.near(time.Now().Add(ahead)); got != want {
				t.Errorf("a date %v ahead is near = %v, want %v", ahead, got, want)
			}
		}
	})
}

func TestARefusalWithTheRightDateIsNotSentAgain(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		awsAnswer(w, http.StatusBadRequest, `{"__type":"ConditionalCheckFailedException"}`)
	})
	s, _ := newServer(t, f)
	w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
	if w.Code != http.StatusBadRequest || len(f.requests()) != 1 || !strings.Contains(w.Body.String(), "ConditionalCheckFailed") {
		t.Errorf("answer = %d %s after %d requests, want AWS's own 400 after 1", w.Code, w.Body, len(f.requests()))
	}
}

// tooLarge is a request of a body one byte over the limit.
func tooLarge(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://localhost:8000/", bytes.NewReader(make([]byte, maxBody+1)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
