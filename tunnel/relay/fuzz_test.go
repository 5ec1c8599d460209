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
