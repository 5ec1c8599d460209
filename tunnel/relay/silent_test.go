package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A laptop that lost power says nothing more: its relay must not stay.
func TestRelayEndsWhenItsClientFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, near)
		served := make(chan error, 1)
		go func() { served <- (&Server{}).Serve(context.Background(), far) }()
		// Hello, the HTTP/2 preface and empty settings (RFC 9113, 3.4 and 6.5).
		io.WriteString(near, "ddbproxy 1 test\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		start := time.Now()
		<-served
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the relay stayed for %v", took)
		}
		near.Close()
	})
}

// A starter that never says hello is not waited for either.
func TestRelayEndsWhenNobodySaysHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, near)
		start := time.Now()
		if err := (&Server{}).Serve(context.Background(), far); err == nil {
			t.Error("Serve = nil, want an error")
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the relay stayed for %v", took)
		}
		near.Close()
	})
}

// A relay that hangs while ssh is well is noticed within 15 s.
func TestClientNoticesASilentRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go io.WriteString(far, "ddbproxy-relay 1 test\n")
		go io.Copy(io.Discard, far)
		c, err := NewClient(t.Context(), near, "test")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-c.Done()
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("noticed after %v", took)
		}
		c.Close()
		far.Close()
	})
}

// A relay that is well but for one connection is told from an endpoint that is slow,
// before a TLS handshake would be given up.
func TestUnansweredDialIsTheRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe, far := net.Pipe()
		near := newBatch(pipe) // both ends begin with a write
		go near.run()
		hung := make(chan struct{})
		s := &Server{Allow: allowAll, Dial: func(context.Context, string, string) (net.Conn, error) {
			<-hung
			return nil, net.ErrClosed
		}}
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background(), far) }()
		c, err := NewClient(t.Context(), near, "test")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		conn, err := c.DialEarly(t.Context(), "tcp", "x:443")
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Read(make([]byte, 1))
		want := Error{KindInternal, "x:443", "the relay on the bastion has not answered within 9s"}
		var got *Error
		if !errors.As(err, &got) || *got != want || got.Hop() != "relay" || got.Permanent() {
			t.Errorf("Read = %v, want %+v", err, want)
		}
		if took := time.Since(start); took != answerWait {
			t.Errorf("told after %v, want %v", took, answerWait)
		}
		conn.Close()
		close(hung)
		c.Close()
		<-served
	})
}

// While a laptop sleeps its relay ends, and no timer here tells of it. Nothing
// is written to it afterwards, so that the writer knows that nothing was sent.
func TestNothingIsWrittenToARelayAfterASleep(t *testing.T) {
	for _, tt := range []struct {
		slept time.Duration
		want  error
	}{{20 * time.Second, nil}, {30 * time.Second, ErrClosed}} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			go io.WriteString(far, "ddbproxy-relay 1 test\n")
			received := make(chan string, 1)
			go func() {
				all, _ := io.ReadAll(far)
				received <- string(all)
			}()
			c, err := NewClient(t.Context(), near, "test")
			if err != nil {
				t.Fatal(err)
			}
			conn, err := c.DialEarly(t.Context(), "tcp", "192.0.2.7:443")
			if err != nil {
				t.Fatal(err)
			}
			c.conn.heard.Store(time.Now().Add(-tt.slept).UnixNano())
			if _, err := io.WriteString(conn, "a request"); err != tt.want {
				t.Errorf("after a sleep of %v: %v, want %v", tt.slept, err, tt.want)
			}
			time.Sleep(time.Second) // what is written is on its way
			select {
			case <-c.Done():
				if tt.want == nil {
					t.Errorf("after a sleep of %v the relay is given up", tt.slept)
				}
			default:
				if tt.want != nil {
					t.Errorf("after a sleep of %v the relay is not given up", tt.slept)
				}
			}
			conn.Close()
			c.Close()
			if got, want := strings.Contains(<-received, "a request"), tt.want == nil; got != want {
				t.Errorf("after a sleep of %v: sent = %v, want %v", tt.slept, got, want)
			}
			far.Close()
		})
	}
}

// HTTP/2 ends a request that was refused before it hands out the answer: who writes
// in between waits for it, and hears of the refusal.
func TestEarlyStreamTellsTheRefusalOnWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream("x:443", func() {})
		s.gone, s.lost = func() bool { return false }, func(err error) error { return err }
		s.upBody.Close()
		written := make(chan error, 1)
		go func() {
			_, err := s.Write([]byte("early"))
			written <- err
		}()
		synctest.Wait()
		want := &Error{KindDenied, "x:443", "not here"}
		s.answer(nil, want)
		if err := <-written; err != want {
			t.Errorf("Write = %v, want %v", err, want)
		}
	})
}
