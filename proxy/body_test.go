package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// tooLarge is a request of a body one byte over the limit.
func tooLarge(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://localhost:8000/", bytes.NewReader(make([]byte, maxBody+1)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	s, log := newServer(t, f)
	addr := listen(t, s)

	// A client that sends all before it reads still sees the answer.
	for name, size := range map[string]int64{"a byte too many": maxBody + 1, "all that is drained": maxDrain, "more than is drained": maxDrain + 1} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n", claimFor(s.Identities[0].Keys[0].ID), size)
		if size <= maxDrain {
			if _, err := io.CopyN(conn, zeros{}, size); err != nil {
				t.Fatalf("%s: the proxy stopped reading: %v", name, err)
			}
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "#ValidationException") || !strings.Contains(string(body), "larger than 17 MiB") {
			t.Errorf("%s: answer = %d %s", name, resp.StatusCode, body)
		}
		conn.Close()
	}

	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: 100\r\n\r\nshort", claimFor(s.Identities[0].Keys[0].ID))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "shorter than its Content-Length; nothing was sent to AWS") || !strings.Contains(string(answer), "Connection: close") {
		t.Errorf("answer to a truncated body = %q, %v", answer, err)
	}
	if !strings.Contains(log.String(), "shorter than its Content-Length") {
		t.Errorf("log = %s", log)
	}
	if got := f.requests(); len(got) != 0 {
		t.Errorf("AWS received %d requests, want none", len(got))
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// claimFor is a header that names a key and proves nothing.
func claimFor(keyID string) string {
	return "AWS4-HMAC-SHA256 Credential=" + keyID + "/20261124/eu-west-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + strings.Repeat("0", 64)
}

// TestBodyOfAnUnknownCallerIsReadAndNotKept: it sees its refusal though it sends everything first.
func TestBodyOfAnUnknownCallerIsReadAndNotKept(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFakeAWS(t))
	addr := listen(t, s)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n", claimFor("AKIANOBODY"), maxBody+1)
	if _, err := io.CopyN(conn, zeros{}, maxBody+1); err != nil {
		t.Fatalf("the proxy stopped reading: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "#UnrecognizedClientException") {
		t.Errorf("answer = %d %s", resp.StatusCode, body)
	}
}

// Who knows no more than an access key id can have us hold so much and no more;
// what is small goes on, and what is held is freed.
func TestBodiesAreHeldWithinBounds(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	s, _ := newServer(t, f)
	addr := listen(t, s)
	var held []net.Conn
	for range maxBodies / maxBody { // not quite all of it
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n", claimFor(s.Identities[0].Keys[0].ID), maxBody)
		if _, err := io.CopyN(conn, zeros{}, maxBody-1); err != nil {
			t.Fatal(err)
		}
	}
	large := func() (status int, body string) {
		t.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n", claimFor(s.Identities[0].Keys[0].ID), maxBody)
		_, _ = io.CopyN(conn, zeros{}, maxBody) // it may be hung up on
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, err.Error()
		}
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	for s.bodies.held.Load() < int64(len(held))*(maxBody-1-smallBody) { // all has arrived
		runtime.Gosched()
	}
	if status, text := large(); status != http.StatusServiceUnavailable && status != 0 {
		t.Errorf("answer = %d %s, want it refused before it was read", status, text)
	}
	if w := ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1")); w.Code != http.StatusOK {
		t.Errorf("a small one: %d %s, want 200", w.Code, w.Body)
	}
	for _, conn := range held {
		conn.Close()
	}
	for s.bodies.held.Load() > 0 {
		runtime.Gosched()
	}
	if status, text := large(); status != http.StatusBadRequest || !strings.Contains(text, "X-Amz-Date") {
		t.Errorf("answer = %d %s, want its signature looked at", status, text)
	}
}
