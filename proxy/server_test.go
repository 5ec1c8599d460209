package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestHealthLineAndHTTP2(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFakeAWS(t))
	addr := listen(t, s)
	for _, tt := range []struct {
		name, raw, want string
		status          int
	}{
		{"health", "GET / HTTP/1.1\r\nHost: localhost:8000\r\n\r\n", "ddbproxy: ready for DynamoDB eu-west-1\n", 200},
		{"health from elsewhere", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "Host header", 403},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 is not spoken here", 505},
		{"other path", "GET /tables HTTP/1.1\r\nHost: localhost\r\n\r\n", "MissingAuthenticationTokenException", 400},
		{"HTTP/1.0 without Host", "POST / HTTP/1.0\r\n\r\n", "Host header", 403},
	} {
		resp, body := exchangeRaw(t, addr, []byte(tt.raw))
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: answer = %d %q, want %d with %q", tt.name, resp.StatusCode, body, tt.status, tt.want)
		}
	}
}

func TestCloseEndsARequestInFlightAndRefusesLaterOnes(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	arrived := make(chan struct{})
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	s, _ := newServer(t, f)
	addr := listen(t, s)
	failed := make(chan error, 1)
	go func() {
		resp, err := get(t, addr)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	closed := make(chan struct{})
	go func() { _ = s.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for a request that AWS does not answer")
	}
	if err := <-failed; err == nil {
		t.Error("the request in flight was answered, want it cut")
	}
	wantError(t, ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1")), 503, unavailable, "shutting down")
}

func TestCloseEndsTunnels(t *testing.T) {
	t.Parallel()
	dial, _ := echoDial(t)
	s, _ := newServer(t, newFakeAWS(t))
	s.Dial = dial
	conn, err := net.Dial("tcp", listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "CONNECT dynamodb.eu-west-1.amazonaws.com:443 HTTP/1.0\r\n\r\n")
	r := bufio.NewReader(conn)
	if _, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // returns only when the tunnel has ended
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after Close = %v, want the tunnel's end", err)
	}
}

func TestSessionKeyOpensAndIsReplacedByRealCredentials(t *testing.T) {
	t.Parallel()
	for _, region := range []string{"eu-west-1", "localhost", "local"} {
		f := newFakeAWS(t)
		s, log := newServer(t, f)
		w := ask(s, by("DDBPROXYSESSION00001", "sessionsecret", "", region)(t))
		if w.Code != http.StatusOK || w.Body.String() != okBody {
			t.Fatalf("region %s: answer = %d %s, want 200", region, w.Code, w.Body)
		}
		got := f.requests()[0] // whose signature the fake has checked
		if !strings.Contains(got.header.Get("Authorization"), "AKIDEXAMPLE00000TEST/") || !strings.Contains(got.header.Get("Authorization"), "/eu-west-1/dynamodb/") {
			t.Errorf("region %s: AWS received %q", region, got.header.Get("Authorization"))
		}
		for _, want := range []string{"op=GetItem", "table=t1", "key=DDBPROXYSESSION00001", "status=200", "aws=REQUESTIDOFAWS", "host=dynamodb.eu-west-1.amazonaws.com"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %s: %s", want, log)
			}
		}
	}
}
