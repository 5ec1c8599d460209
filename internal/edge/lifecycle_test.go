package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// idle opens a connection and, if used, sends a request on it and reads the answer.
func (d *door) idle(t *testing.T, used bool) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", d.internet.Addr().String(), &tls.Config{ServerName: host, RootCAs: d.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if used {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer := ""
		for part := make([]byte, 512); !strings.HasSuffix(answer, host); {
			n, err := c.Read(part)
			if err != nil {
				t.Fatal(err)
			}
			answer += string(part[:n])
		}
	}
	return c
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{IdleTimeout: 300 * time.Millisecond})
	for _, used := range []bool{false, true} {
		c := d.idle(t, used)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("used %v: %v, want EOF after the idle time", used, err)
		}
	}
}

func TestShutdownEndsIdleConnectionsAndWaitsForBusyOnes(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	d := open(t, &Server{Backend: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	})})
	d.idle(t, true)
	answered := make(chan string, 1)
	busy, r := d.client(t, d.internet), signed(t, "ListTables", `{}`, time.Now(), longTerm())
	go func() {
		resp, err := busy.Do(r)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	<-entered
	expired, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Shutdown(expired); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown with a request in flight: %v, want context.Canceled", err)
	}
	close(release)
	if err := d.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := <-answered; got != "done" {
		t.Errorf("the request in flight got %q, want its answer", got)
	}
	if n := d.Seen().OpenConns; n != 0 {
		t.Errorf("%d connections open after Shutdown", n)
	}
}

func TestCloseWaitsForHandlersToEnd(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	var ended atomic.Bool
	d := open(t, &Server{Backend: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		<-time.After(50 * time.Millisecond) // a backend that is slow to give up
		ended.Store(true)
	})})
	broken := make(chan error, 1)
	c, r := d.client(t, d.internet), signed(t, "ListTables", `{}`, time.Now(), longTerm())
	go func() {
		_, err := c.Do(r)
		broken <- err
	}()
	<-entered
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if !ended.Load() || d.Seen().OpenConns != 0 {
		t.Errorf("after Close: handler ended %v, %d connections open", ended.Load(), d.Seen().OpenConns)
	}
	if err := <-broken; err == nil {
		t.Error("the request in flight was answered, want a broken connection")
	}
}

func TestServeNeedsACA(t *testing.T) {
	t.Parallel()
	s := &Server{}
	if err := s.Serve(listen(t)); err == nil || err.Error() != "edge: serve: no CA to issue a certificate" {
		t.Errorf("Serve without CA: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
