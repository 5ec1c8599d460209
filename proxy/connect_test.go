package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// echoDial dials to a TCP server that reads until the caller's half-close and then says what it read.
func echoDial(t *testing.T) (dial dialFunc, dialled func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serve sync.WaitGroup
	serve.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve.Go(func() {
				defer conn.Close()
				said, _ := io.ReadAll(conn)
				fmt.Fprintf(conn, "heard %q", said)
			})
		}
	})
	t.Cleanup(func() { l.Close(); serve.Wait() })
	var mu sync.Mutex
	var addrs []string
	dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		addrs = append(addrs, addr)
		mu.Unlock()
		var d net.Dialer
		return d.DialContext(ctx, network, l.Addr().String())
	}
	return dial, func() []string { mu.Lock(); defer mu.Unlock(); return addrs }
}

func TestEveryCapturedConnectIsCarriedWithHalfClose(t *testing.T) {
	t.Parallel()
	all := captures(t, "connect-*")
	if len(all) != 10 {
		t.Fatalf("found %d captures, want 10", len(all))
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dial, dialled := echoDial(t)
			s, log := newServer(t, newFakeAWS(t))
			s.Dial, s.Identities = dial, nil // proxy mode needs none
			addr := listen(t, s)
			// Once with what follows sent at once, once after the 200.
			for _, early := range []bool{true, false} {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				raw := string(c.raw)
				if early {
					raw += "hello"
				}
				if _, err := io.WriteString(conn, raw); err != nil {
					t.Fatal(err)
				}
				r := bufio.NewReader(conn)
				resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("answer = %v, %v, want 200", resp, err)
				}
				if !early {
					if _, err := io.WriteString(conn, "hello"); err != nil {
						t.Fatal(err)
					}
				}
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(r); err != nil || string(got) != `heard "hello"` {
					t.Errorf("early=%v: read %q, %v after the half-close", early, got, err)
				}
			}
			want := strings.Fields(string(c.raw))[1]
			if got := dialled(); len(got) != 2 || got[0] != want || got[1] != want {
				t.Errorf("dialled %q, want %q twice", got, want)
			}
			if err := s.Close(); err != nil { // so that the log is complete
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), "connect="+want+" status=200 bytes=13") {
				t.Errorf("log = %s", log)
			}
		})
	}
}

// A whole TLS request through CONNECT, as an SDK with HTTPS_PROXY makes it.
func TestTLSGoesEndToEndThroughConnect(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	s, _ := newServer(t, f)
	s.Identities = nil
	conn, err := net.Dial("tcp", listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const host = "dynamodb.eu-west-1.amazonaws.com"
	fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.0\r\n\r\n", host)
	if resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect}); err != nil || resp.StatusCode != 200 {
		t.Fatalf("CONNECT = %v, %v", resp, err)
	}
	secure := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: f.roots})
	r, err := http.NewRequest(http.MethodPost, "https://"+host+"/", strings.NewReader(getItem))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
	sign(t, r, getItem, profileKey, "eu-west-1")
	if err := r.Write(secure); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(secure), r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != okBody {
		t.Errorf("answer = %d %s, want AWS's", resp.StatusCode, body)
	}
}

func TestConnectRefusalsGiveTheReasonInTheStatusLine(t *testing.T) {
	t.Parallel()
	blocks := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	good := "dynamodb.eu-west-1.amazonaws.com:443"
	for _, tt := range []struct {
		name, target string
		dial         dialFunc
		status       int
		reason       string
	}{
		{"another service", "sts.eu-west-1.amazonaws.com:443", nil, 403, "ddbproxy: local: \"sts.eu-west-1.amazonaws.com:443\" may not be dialled: not a DynamoDB endpoint"},
		{"another region", "dynamodb.us-east-1.amazonaws.com:443", nil, 403, "region us-east-1 is not among the allowed ones (eu-west-1)"},
		{"plain HTTP", "dynamodb.eu-west-1.amazonaws.com:80", nil, 403, "only port 443"},
		{"foreign interface endpoint", "vpce-0bad-d4.dynamodb.eu-west-1.vpce.amazonaws.com:443", nil, 403, "interface endpoint vpce-0bad is not among"},
		{"instance metadata", "169.254.169.254:80", nil, 403, "only port 443"},
		{"path", "/etc/passwd", nil, 403, "an address is host:port"},
		{"permanent", good, failingDial(hopFailure{"ssh", "host key of bastion changed", true}), 502, "ddbproxy: ssh: host key of bastion changed"},
		{"reconnecting", good, failingDial(hopFailure{"ssh", "bastion does not answer", false}), 503, "ddbproxy: ssh: bastion does not answer"},
		{"not ASCII", good, failingDial(hopFailure{"ssh", "bad\r\nX-Evil: \u00fc", true}), 502, "ddbproxy: ssh: bad X-Evil: ??"},
		{"silent", good, blocks, 504, "ddbproxy: dial: the connection through the bastion is not up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, log := newServer(t, newFakeAWS(t))
			s.Hold = time.Second
			s.Endpoint = "vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com"
			if tt.dial != nil {
				s.Dial = tt.dial
			}
			resp, body := exchangeRaw(t, listen(t, s), []byte("CONNECT "+tt.target+" HTTP/1.0\r\n\r\n"))
			if err := s.Close(); err != nil { // so that the log is complete
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || !strings.Contains(resp.Status, tt.reason) {
				t.Errorf("status = %q, want %d %q", resp.Status, tt.status, tt.reason)
			}
			if _, evil := resp.Header["X-Evil"]; evil || !strings.HasPrefix(body, "ddbproxy: ") {
				t.Errorf("header %v, body %q", resp.Header, body)
			}
			if !strings.Contains(log.String(), fmt.Sprintf("status=%d", tt.status)) {
				t.Errorf("log = %s", log)
			}
		})
	}
}

func TestConnectToTheConfiguredInterfaceEndpoint(t *testing.T) {
	t.Parallel()
	dial, dialled := echoDial(t)
	s, _ := newServer(t, newFakeAWS(t))
	s.Dial = dial
	s.Endpoint = "vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com"
	resp := connectAndLeave(t, s, s.Endpoint+":443")
	if resp.StatusCode != 200 || len(dialled()) != 1 {
		t.Errorf("answer = %s after %d dials, want 200 after 1", resp.Status, len(dialled()))
	}
}

func TestOtherHostsGoDirectWhereAsked(t *testing.T) {
	t.Parallel()
	dial, dialled := echoDial(t)
	s, _ := newServer(t, newFakeAWS(t))
	s.Dial = failingDial(errors.New("through the tunnel"))
	s.DialOther = dial
	resp := connectAndLeave(t, s, "sts.eu-west-1.amazonaws.com:443")
	if got := dialled(); resp.StatusCode != 200 || len(got) != 1 || got[0] != "sts.eu-west-1.amazonaws.com:443" {
		t.Errorf("answer = %s, dialled %q; want 200 and sts", resp.Status, got)
	}
}

// connectAndLeave opens a tunnel and closes it.
func connectAndLeave(t *testing.T, s *Server, target string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
