//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// throughProxy dials through a proxy, which greet asks for an address.
func throughProxy(dial dialFunc, proxy string, greet func(c io.ReadWriter, addr string) error) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, proxy)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		defer stop()
		if err := greet(c, addr); err != nil {
			c.Close()
			return nil, fmt.Errorf("proxy %s to %s: %w", proxy, addr, err)
		}
		return c, nil
	}
}

// httpConnect asks an HTTP proxy for addr (RFC 9110, section 9.3.6).
func httpConnect(c io.ReadWriter, addr string) error {
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", addr); err != nil {
		return err
	}
	// The far end says nothing before its client has, so no more than the answer is read.
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("refused: %s", resp.Status)
	}
	return err
}

// socks5 asks a SOCKS5 proxy without authentication (RFC 1928) for addr, whose name
// is looked up at its far end.
func socks5(c io.ReadWriter, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	if len(host) > 255 {
		return fmt.Errorf("name is too long")
	}
	if _, err := c.Write([]byte{5, 1, 0}); err != nil {
		return err
	}
	var method [2]byte
	if _, err := io.ReadFull(c, method[:]); err != nil {
		return err
	}
	if method[1] != 0 {
		return fmt.Errorf("it wants authentication: % x", method)
	}
	request := append([]byte{5, 1, 0, 3, byte(len(host))}, host...)
	if _, err := c.Write(append(request, byte(n>>8), byte(n))); err != nil {
		return err
	}
	var answer [10]byte // ssh answers with an IPv4 address
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 || answer[3] != 1 {
		return fmt.Errorf("refused: % x", answer)
	}
	return nil
}
