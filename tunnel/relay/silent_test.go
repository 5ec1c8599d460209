package relay

import (
	"context"
	"io"
	"net"
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
