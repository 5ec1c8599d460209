package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// conns counts the connections that a dial made, and closes their far ends.
type conns struct {
	dialFunc
	mu  sync.Mutex
	all []net.Conn
	out atomic.Int64 // open, as far as this end has closed them
}

type countedConn struct {
	net.Conn
	once sync.Once
	open *atomic.Int64
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func (c *conns) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.dialFunc(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.out.Add(1)
	counted := &countedConn{Conn: conn, open: &c.out}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, counted)
	return counted, nil
}

// served makes a call that is to be answered with 200; any goroutine may.
func served(t *testing.T, s *Server, op string) {
	t.Helper()
	if w := ask(s, signed(t, op, getItem, profileKey, "eu-west-1")); w.Code != http.StatusOK {
		t.Errorf("answer = %d %s, want 200", w.Code, w.Body)
	}
}

// burst has n calls in flight at the same time, and returns when all are answered.
func burst(t *testing.T, s *Server, f *fakeAWS, n int) {
	t.Helper()
	var arrived atomic.Int64
	all := make(chan struct{})
	f.answer(func(w http.ResponseWriter, _ *http.Request) {
		if arrived.Add(1) == int64(n) {
			close(all)
		}
		<-all
		awsAnswer(w, http.StatusOK, okBody)
	})
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() { served(t, s, "GetItem") })
	}
	calls.Wait()
}

func TestConnectionsOfARushAreFewAfterAWhileAndNoneInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		c := &conns{dialFunc: f.Dial}
		s.Dial = c.Dial
		burst(t, s, f, 40)
		passed := time.Duration(0)
		for _, tt := range []struct {
			until time.Duration
			open  int64
		}{
			{calmAfter - time.Second, 40},
			{calmAfter + time.Second, calmIdle},
			{idleTimeout - time.Second, calmIdle},
			{idleTimeout + time.Second, 0},
		} {
			time.Sleep(tt.until - passed)
			passed = tt.until
			synctest.Wait()
			if got := c.out.Load(); got != tt.open {
				t.Errorf("after %v %d connections are open, want %d", tt.until, got, tt.open)
			}
		}
	})
}

// A write must not be sent on a connection that AWS has closed meanwhile: its fate would be unknown.
func TestIdleConnectionThatEndsIsNotUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		c := &conns{dialFunc: func(ctx context.Context, network, addr string) (net.Conn, error) {
			near, far := net.Pipe()
			conn, err := f.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			go func() { // ends with either connection
				buf := make([]byte, 32<<10)
				for {
					n, err := conn.Read(buf)
					if n > 0 {
						_, _ = far.Write(buf[:n])
					}
					if err != nil {
						far.Close() // half of what a server's end looks like: nothing more comes
						return
					}
				}
			}()
			go func() { // takes what is written as long as anybody reads it
				defer conn.Close()
				buf := make([]byte, 32<<10)
				for {
					n, err := far.Read(buf)
					if err != nil {
						return
					}
					_, _ = conn.Write(buf[:n])
				}
			}()
			return near, nil
		}}
		s.Dial = c.Dial
		served(t, s, "PutItem")
		time.Sleep(2 * watchAfter)
		synctest.Wait()
		f.server.SetKeepAlivesEnabled(false) // closes idle connections
		time.Sleep(watchAfter)
		synctest.Wait()
		if got := c.out.Load(); got != 0 {
			t.Errorf("%d connections are open after their far end has closed them, want none", got)
		}
		f.server.SetKeepAlivesEnabled(true)
		served(t, s, "PutItem")
		if got := len(f.requests()); got != 2 {
			t.Errorf("AWS received %d writes, want 2", got)
		}
	})
}

// However many connections died unnoticed, a write that none of them took goes out by a new one, at once.
func TestManyStaleConnectionsHoldNothingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		var dead atomic.Bool
		s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := f.Dial(ctx, network, addr)
			if dead.Load() {
				return conn, err
			}
			return deadConn{conn, &dead}, err
		}
		burst(t, s, f, 8)
		f.answer(nil)
		dead.Store(true)
		start := time.Now()
		served(t, s, "PutItem")
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it took %v, want no pause", waited)
		}
	})
}

// A call that waits for a dial takes a connection that is given back before, and the dial's is kept.
func TestCallTakesWhatIsFreeFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		var dials atomic.Int64
		c := &conns{dialFunc: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				time.Sleep(3 * time.Second)
			}
			return f.Dial(ctx, network, addr)
		}}
		s.Dial = c.Dial
		f.answer(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			awsAnswer(w, http.StatusOK, okBody)
		})
		start := time.Now()
		var calls sync.WaitGroup
		var first, second time.Duration
		get := func(took *time.Duration) {
			served(t, s, "GetItem")
			*took = time.Since(start)
		}
		calls.Go(func() { get(&first) })
		time.Sleep(time.Millisecond)
		calls.Go(func() { get(&second) })
		calls.Wait()
		if first != time.Second || second != 2*time.Second {
			t.Errorf("answered after %v and %v, want 1s and 2s: both over the first connection", first, second)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(s.pool.Load().idle); n != 2 {
			t.Errorf("%d connections lie idle, want both", n)
		}
	})
}

// Who gives up leaves what it waited for to others.
func TestCallerThatLeavesTakesNoConnectionAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		c := &conns{dialFunc: func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			return f.Dial(ctx, network, addr)
		}}
		s.Dial = c.Dial
		s.init()
		ctx, cancel := context.WithCancelCause(t.Context())
		left := errors.New("left")
		time.AfterFunc(time.Millisecond, func() { cancel(left) })
		const addr = "dynamodb.eu-west-1.amazonaws.com:443"
		if _, _, err := s.lend(ctx, addr, time.Now().Add(time.Minute)); err != left {
			t.Errorf("lend = %v, want its context's cause", err)
		}
		time.Sleep(2 * time.Second)
		conn, used, err := s.lend(t.Context(), addr, time.Now())
		if err != nil || !used || len(c.all) != 1 {
			t.Fatalf("lend = %v, used %v, %d dials; want the connection that was dialled before", err, used, len(c.all))
		}
		conn.pool.put(conn)
	})
}

// raw serves one connection with bytes that are no business of net/http's server.
func raw(t *testing.T, answer func(conn net.Conn)) *upstreamConn {
	t.Helper()
	near, far := net.Pipe()
	under := newRawConn(near)
	c := newUpstreamConn(under, under, "x:443")
	c.pool = &pool{work: new(sync.WaitGroup)}
	var serving sync.WaitGroup
	serving.Go(func() { answer(far) })
	t.Cleanup(func() {
		c.pool.close()
		near.Close()
		far.Close()
		serving.Wait()
	})
	return c
}

// readRequest reads what a request of these tests has.
func readRequest(conn net.Conn) {
	buf := make([]byte, 4<<10)
	for got := ""; !strings.HasSuffix(got, "\r\n\r\n{}"); {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		got += string(buf[:n])
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			readRequest(conn)
			_, _ = conn.Write([]byte(text))
			conn.Close()
		}
	}
	keep := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			readRequest(conn)
			_, _ = conn.Write([]byte(text))
		}
	}
	for _, tt := range []struct {
		name   string
		answer func(net.Conn)
		body   string
		err    string
		wrote  bool
		kept   bool
	}{
		{"whole", keep("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), "{}", "", true, true},
		{"empty", keep("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "", "", true, true},
		{"chunks", keep("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), "{}", "", true, true},
		{"after informational ones", keep("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), "{}", "", true, true},
		{"the last", say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"), "{}", "", true, false},
		{"until the end", say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}"), "{}", "", true, false},
		{"with more behind it", keep("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK"), "{}", "", true, false},
		{"cut short", say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}"), "{}", "unexpected EOF", true, false},
		{"none", say(""), "", "unexpected EOF", true, false},
		{"no HTTP", say("SSH-2.0-x\r\n\r\n"), "", "malformed HTTP", true, false},
		{"endless header", say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeader)), "", "longer than 256 KiB", true, false},
		{"endless informational ones", say(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 99)), "", "more than 5 answers", true, false},
		{"switched protocols", say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "", "", true, false},
		{"closed before anything", func(conn net.Conn) { conn.Close() }, "", "closed pipe", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := raw(t, tt.answer)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://x/", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			resp, wrote, err := c.exchange(r)
			body := ""
			if err == nil {
				var b strings.Builder
				buf := make([]byte, 1)
				for err == nil {
					var n int
					n, err = resp.Body.Read(buf)
					b.Write(buf[:n])
				}
				if err.Error() == "EOF" {
					err = nil
				}
				body = b.String()
				resp.Body.Close()
			}
			if text := ""; err != nil || tt.err != "" {
				if err != nil {
					text = err.Error()
				}
				if tt.err == "" || !strings.Contains(text, tt.err) {
					t.Errorf("error = %q, want %q", text, tt.err)
				}
			}
			kept := slices.Contains(c.pool.idle, c)
			if body != tt.body || wrote != tt.wrote || kept != tt.kept {
				t.Errorf("body %q, wrote %v, kept %v; want %q, %v, %v", body, wrote, kept, tt.body, tt.wrote, tt.kept)
			}
		})
	}
}

// An earlyConn answers as soon as it was written to, and takes no more than ten bytes.
type earlyConn struct {
	net.Conn
	answer io.Reader
}

func (c *earlyConn) Write([]byte) (int, error)  { return 10, io.ErrClosedPipe }
func (c *earlyConn) Read(p []byte) (int, error) { return c.answer.Read(p) }
func (c *earlyConn) Close() error               { return nil }

// AWS may refuse a request by its header alone, and close.
func TestAnswerBeforeTheRequestsEndCounts(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}": "413 Content Too Large",
		"": io.ErrClosedPipe.Error(),
	} {
		conn := newRawConn(&earlyConn{answer: strings.NewReader(answer)})
		c := newUpstreamConn(conn, conn, "x:443")
		c.pool = &pool{work: new(sync.WaitGroup)}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://x/", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, wrote, err := c.exchange(r)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = resp.Status
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "{}" {
				t.Errorf("body = %q, %v", body, err)
			}
			resp.Body.Close()
		}
		if got != want || !wrote || len(c.pool.idle) != 0 {
			t.Errorf("%q: %s, wrote %v, %d kept; want %s, true, 0", answer, got, wrote, len(c.pool.idle), want)
		}
	}
}
