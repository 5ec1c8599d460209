package relay

import (
	"context"
	"io"
	"net"
	"testing"
)

// benchStream gives a client, its relay and the address of what serve makes behind it.
func benchStream(b *testing.B, serve func(net.Conn)) (*Client, string) {
	near, far := duplex(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	go (&Server{Allow: allowAll}).Serve(context.Background(), far)
	c, err := NewClient(context.Background(), near, "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c, l.Addr().String()
}

func BenchmarkDial(b *testing.B) {
	c, target := benchStream(b, echo)
	b.ReportAllocs()
	for b.Loop() {
		conn, err := c.DialContext(context.Background(), "tcp", target)
		if err != nil {
			b.Fatal(err)
		}
		conn.Close()
	}
}

func BenchmarkStreamBytes(b *testing.B) {
	c, target := benchStream(b, echo)
	conn, err := c.DialContext(context.Background(), "tcp", target)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 16<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		conn.Write(buf)
		io.ReadFull(conn, buf)
	}
}

// BenchmarkStreamDown is a large answer, read as TLS reads it.
func BenchmarkStreamDown(b *testing.B) {
	c, target := benchStream(b, func(conn net.Conn) {
		for page := make([]byte, 1<<20); ; {
			if _, err := conn.Write(page); err != nil {
				return
			}
		}
	})
	conn, err := c.DialContext(context.Background(), "tcp", target)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	record := make([]byte, 16<<10)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.ReadFull(conn, record); err != nil {
			b.Fatal(err)
		}
	}
}
