package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair joins a Client and a Server by a pipe, and checks at the end that both
// are gone when the client closes.
func pair(t *testing.T, s *Server) *Client {
	t.Helper()
	near, far := duplex(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), far) }()
	c, err := NewClient(t.Context(), near, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v, want nil after the client left", err)
		}
	})
	return c
}

// duplex is a buffered pair, as a program's standard input and output are.
func duplex(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func allowAll(string) error { return nil }

// listen runs handle for each connection to a loopback address.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Wait()
	})
	return l.Addr().String()
}

func echo(c net.Conn) { io.Copy(c, c) }

func TestStreamCarriesBytesBothWaysAndKeepsHalfClose(t *testing.T) {
	c := pair(t, &Server{Allow: allowAll})
	conn, err := c.DialContext(t.Context(), "tcp", listen(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	go func() {
		conn.Write(sent)
		conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("echoed %d bytes, error %v; want the %d sent, then a tidy end", len(got), err, len(sent))
	}
}

func TestStreamOutlivesItsDialContext(t *testing.T) {
	c := pair(t, &Server{Allow: allowAll})
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := c.DialContext(ctx, "tcp", listen(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestRelayRefusals(t *testing.T) {
	closed := listen(t, echo)
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	refusing := l.Addr().String()
	l.Close()
	for _, tc := range []struct {
		name   string
		server Server
		target string
		want   Error
		hop    string
	}{
		{
			"host not allowed",
			Server{Allow: func(string) error { return errors.New("not a DynamoDB endpoint") }},
			closed,
			Error{KindDenied, closed, "not a DynamoDB endpoint"}, "relay",
		},
		{
			"no allow-list at all", Server{}, closed,
			Error{KindDenied, closed, "this relay allows no target"}, "relay",
		},
		{
			"connection refused", Server{Allow: allowAll}, refusing,
			Error{KindRefused, refusing, "connection from the bastion refused: dial tcp " + refusing + ": connect: connection refused"}, "aws",
		},
		{
			"name unknown on the bastion",
			Server{Allow: allowAll, Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", Server: "10.0.0.2:53", IsNotFound: true}}
			}},
			"x.example:443",
			Error{KindDNS, "x.example:443", "the bastion cannot resolve this name: no such host (asked 10.0.0.2:53)"}, "dns",
		},
		{
			"no answer in time",
			Server{Allow: allowAll, Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
			}},
			"x.example:443",
			Error{KindTimeout, "x.example:443", "no answer to the bastion in time: a security group, network ACL or route stops it (dial: i/o timeout)"}, "aws",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := pair(t, &tc.server)
			_, err := c.DialContext(t.Context(), "tcp", tc.target)
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("error = %v, want a relay.Error", err)
			}
			if *got != tc.want || got.Hop() != tc.hop || got.Permanent() != (tc.want.Kind == KindDenied) {
				t.Errorf("error = %+v at hop %s, want %+v at hop %s", *got, got.Hop(), tc.want, tc.hop)
			}
		})
	}
}

func TestEarlyStreamCarriesWhatIsWrittenBeforeTheAnswer(t *testing.T) {
	c := pair(t, &Server{Allow: allowAll})
	conn, err := c.DialEarly(t.Context(), "tcp", listen(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("early"))
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "early" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestEarlyStreamTellsTheRefusalOnRead(t *testing.T) {
	c := pair(t, &Server{Allow: func(string) error { return errors.New("not here") }})
	conn, err := c.DialEarly(t.Context(), "tcp", "example.com:443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("early")) // goes through or not: the relay may have answered
	_, err = conn.Read(make([]byte, 1))
	var got *Error
	if want := (Error{KindDenied, "example.com:443", "not here"}); !errors.As(err, &got) || *got != want {
		t.Errorf("Read = %v, want %+v", err, want)
	}
}

func TestBrokenTargetIsABrokenStream(t *testing.T) {
	reset := listen(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 1))
		c.Write([]byte("half"))
		c.(*net.TCPConn).SetLinger(0) // close sends a reset
	})
	c := pair(t, &Server{Allow: allowAll})
	conn, err := c.DialContext(t.Context(), "tcp", reset)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("x"))
	if _, err := io.ReadAll(conn); err == nil {
		t.Error("reading a connection that the target reset ended without an error")
	}
}

func TestLostRelayEndsStreamsAndDials(t *testing.T) {
	near, far := duplex(t)
	ctx, kill := context.WithCancel(t.Context())
	served := make(chan error, 1)
	s := &Server{Allow: allowAll}
	go func() { served <- s.Serve(ctx, far) }()
	c, err := NewClient(t.Context(), near, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	target := listen(t, echo)
	conn, err := c.DialContext(t.Context(), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	kill()
	<-served
	<-c.Done()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Read = %v, want ErrClosed", err)
	}
	if _, err := c.DialContext(t.Context(), "tcp", target); !errors.Is(err, ErrClosed) {
		t.Errorf("DialContext = %v, want ErrClosed", err)
	}
}

func TestCloseDoesNotWaitForAStreamThatNobodyReads(t *testing.T) {
	c := pair(t, &Server{Allow: allowAll})
	conn, err := c.DialContext(t.Context(), "tcp", listen(t, func(c net.Conn) {
		c.Write(make([]byte, 64<<10))
		io.Copy(io.Discard, c) // there is no end to read
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil { // the rest is on its way
		t.Fatal(err)
	}
	c.Close()
	if _, err := io.ReadAll(conn); !errors.Is(err, ErrClosed) {
		t.Errorf("reading on: %v, want ErrClosed", err)
	}
}

// A target that says nothing more after a half-close must not keep a stream that
// its client has left, nor the relay after that.
func TestHalfClosedStreamEndsWithItsClient(t *testing.T) {
	near, far := duplex(t)
	served := make(chan error, 1)
	s := &Server{Allow: allowAll}
	go func() { served <- s.Serve(context.Background(), far) }()
	c, err := NewClient(t.Context(), near, "test")
	if err != nil {
		t.Fatal(err)
	}
	ended, release := make(chan struct{}), make(chan struct{})
	target := listen(t, func(c net.Conn) {
		io.Copy(io.Discard, c)
		close(ended)
		<-release
	})
	defer close(release)
	conn, err := c.DialContext(t.Context(), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	conn.(interface{ CloseWrite() error }).CloseWrite()
	<-ended
	conn.Close()
	c.Close()
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("Serve = %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the relay stays after its client has left")
	}
}

// Large answers are read in large pieces, of whatever size the reader's are.
func TestReaderGetsEveryByteOfARush(t *testing.T) {
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(i * 31 >> 7)
	}
	c := pair(t, &Server{Allow: allowAll})
	target := listen(t, func(conn net.Conn) {
		defer conn.Close()
		conn.Write(want)
	})
	for _, size := range []int{1, 517, 16 << 10, 1 << 20} {
		conn, err := c.DialContext(t.Context(), "tcp", target)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for p := make([]byte, size); err == nil; {
			var n int
			n, err = conn.Read(p)
			got = append(got, p[:n]...)
		}
		if err != io.EOF || !bytes.Equal(got, want) {
			t.Errorf("in pieces of %d: %d bytes, %v", size, len(got), err)
		}
		conn.Close()
	}
}

func TestCloseEndsARead(t *testing.T) {
	c := pair(t, &Server{Allow: allowAll})
	conn, err := c.DialContext(t.Context(), "tcp", listen(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	conn.Close()
	if err := <-ended; err != net.ErrClosed {
		t.Errorf("Read = %v, want %v", err, net.ErrClosed)
	}
	for patience := time.Now().Add(10 * time.Second); c.h2.InFlight() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(patience) {
			t.Fatalf("%d streams are open", c.h2.InFlight())
		}
	}
}

func TestManyStreamsAtOnce(t *testing.T) {
	c := pair(t, &Server{Allow: allowAll})
	target := listen(t, echo)
	var open sync.WaitGroup
	for range 300 {
		open.Go(func() {
			conn, err := c.DialContext(t.Context(), "tcp", target)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.Write([]byte("ping"))
			got := make([]byte, 4)
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != "ping" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
	open.Wait()
}

// A client may not make the relay remember much before it is asked for anything.
func TestServerTakesNoLongHeaders(t *testing.T) {
	for size, taken := range map[int]bool{4 << 10: true, 64 << 10: false} {
		c := pair(t, &Server{Allow: allowAll}) // a header that is too long may end the connection
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://relay/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X", strings.Repeat("x", size))
		resp, err := c.h2.RoundTrip(req)
		if (err == nil) != taken {
			t.Errorf("a header of %d bytes: error %v, want taken %v", size, err, taken)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
}
