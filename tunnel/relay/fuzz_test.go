package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func FuzzHello(f *testing.F) {
	f.Add("ddbproxy-relay 1 v0.1.0")
	f.Add("ddbproxy 1 dev\r")
	f.Add("ddbproxy 01 x")
	f.Fuzz(func(t *testing.T, line string) {
		h, err := parseHello(line)
		if err == nil && h.String() != strings.TrimSuffix(line, "\r") {
			t.Errorf("parse(%q).String() = %q", line, h)
		}
	})
}

func FuzzServerInput(f *testing.F) {
	f.Add([]byte("ddbproxy 1 v\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	f.Add([]byte("ddbproxy 1 v\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
		"\x00\x00\x10\x01\x04\x00\x00\x00\x01\x42\x07CONNECT\x41\x05x:443")) // :method, :authority
	f.Fuzz(func(t *testing.T, input []byte) {
		near, far := net.Pipe()
		dialled := false
		s := &Server{Allow: func(string) error { return errors.New("no") }, Dial: func(context.Context, string, string) (net.Conn, error) {
			dialled = true
			return nil, net.ErrClosed
		}}
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background(), far) }()
		go io.Copy(io.Discard, near)
		near.Write(input)
		near.Close()
		<-served
		if dialled {
			t.Error("a target that is not allowed was dialled")
		}
	})
}

// FuzzClientInput: whatever a relay says after its hello ends a dial or the
// connection, gives out no more than was said, and in words fit for a terminal.
func FuzzClientInput(f *testing.F) {
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	f.Add([]byte("y\ny\ny\n"))
	f.Add([]byte(settings))
	f.Add([]byte(settings + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"))                         // PING
	f.Add([]byte(settings + "\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"))                             // HEADERS :status 200
	f.Add([]byte(settings + "\x00\x00\x05\x01\x05\x00\x00\x00\x01\x48\x03403"))                      // :status 403
	f.Add([]byte(settings + "\x00\x00\x05\x00\x00\x00\x00\x00\x01hello"))                            // DATA before any answer
	f.Add([]byte(settings + "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) // GOAWAY
	f.Add([]byte(settings + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff"))                 // WINDOW_UPDATE
	f.Add([]byte("\xff\xff\xff\x00\x00\x00\x00\x00\x01"))                                            // a frame of 16 MiB
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		go func() {
			io.WriteString(far, "ddbproxy-relay 1 v\n")
			far.Write(said)
			far.Close()
		}()
		c, err := NewClient(context.Background(), near, "test")
		if err != nil {
			return // it had ended before HTTP/2 began
		}
		defer c.Close()
		conn, err := c.DialEarly(context.Background(), "tcp", "x:443")
		if err != nil {
			return
		}
		defer conn.Close()
		got, err := io.ReadAll(conn)
		if len(got) > len(said) {
			t.Errorf("%d bytes came of %d", len(got), len(said))
		}
		var refused *Error
		if errors.As(err, &refused) && Printable(refused.Reason, len(refused.Reason)) != refused.Reason {
			t.Errorf("reason %q", refused.Reason)
		}
	})
}
