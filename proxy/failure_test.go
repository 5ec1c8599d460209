package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// hopFailure is an error as a tunnel makes them.
type hopFailure struct {
	hop, text string
	permanent bool
}

func (e hopFailure) Error() string   { return e.text }
func (e hopFailure) Hop() string     { return e.hop }
func (e hopFailure) Permanent() bool { return e.permanent }

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func failingDial(err error) dialFunc {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}

type dialFailure struct {
	name     string
	err      error
	status   int
	kind     string
	sentence string
}

func dialFailures() []dialFailure {
	return []dialFailure{
		{"host key", hopFailure{"ssh", "host key of bastion changed", true}, 400, bastionUnreachable, "ssh: host key of bastion changed"},
		{"text that names its hop itself", hopFailure{"ssh", "ssh: dev@bastion: login refused", true}, 400, bastionUnreachable, "ddbproxy: ssh: dev@bastion: login refused"},
		{"relay refuses", hopFailure{"relay", "region not allowed", true}, 400, bastionUnreachable, "relay: region not allowed"},
		{"name unknown at the bastion", hopFailure{"dns", "no such host", true}, 400, endpointUnreachable, "dns: no such host"},
		{"no such host", &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, 400, endpointUnreachable, "dns: lookup x: no such host"},
		{"bastion reconnecting", hopFailure{"ssh", "bastion does not answer", false}, 503, unavailable, "ssh: no connection to dynamodb.eu-west-1.amazonaws.com within"},
		{"name server silent", &net.DNSError{Err: "timeout", Name: "x", IsTimeout: true}, 503, unavailable, "dns: no connection"},
		{"unexplained", errors.New("wires cut"), 503, unavailable, "dial: no connection to dynamodb.eu-west-1.amazonaws.com within 1s: wires cut; nothing was sent, and trying again is safe"},
	}
}

func TestDialFailuresNameTheHop(t *testing.T) {
	t.Parallel()
	for _, tt := range dialFailures() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, _ := newServer(t, newFakeAWS(t))
				s.Dial, s.Hold = failingDial(tt.err), time.Second
				start := time.Now()
				w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
				wantError(t, w, tt.status, tt.kind, tt.sentence)
				waited := time.Since(start)
				if permanent := tt.status == http.StatusBadRequest; permanent && waited != 0 {
					t.Errorf("waited %v for what does not pass", waited)
				} else if !permanent && (waited == 0 || waited > time.Second) {
					t.Errorf("waited %v, want up to the hold of 1s", waited)
				}
				retry := w.Header().Get("Retry-After") + " " + w.Header().Get("X-Amz-Retry-After")
				if want := map[int]string{400: " ", 503: "2 2000"}[tt.status]; retry != want {
					t.Errorf("Retry-After and X-Amz-Retry-After = %q, want %q", retry, want)
				}
			})
		})
	}
}

func TestCertificateFailuresAreToldApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		server   func(*Server, *fakeAWS)
		region   string
		status   int
		kind     string
		sentence string
	}{
		{"inspected", func(s *Server, f *fakeAWS) { s.RootCAs = x509.NewCertPool() }, "eu-west-1", 400, endpointUnreachable, "(issuer CN=pretend authority); if your network inspects TLS, pass its CA certificate with --ca-bundle"},
		{"other name", nil, "eu-west-2", 400, endpointUnreachable, "the certificate presented is not for dynamodb.eu-west-2.amazonaws.com"},
		{"expired", func(s *Server, f *fakeAWS) { serveExpired(s, f) }, "eu-west-1", 400, endpointUnreachable, "not valid at this machine's time; set its clock"},
		{"no TLS", func(s *Server, f *fakeAWS) { s.Dial = answering(f.t, "HTTP/1.1 400 Bad Request\r\n\r\n") }, "eu-west-1", 400, endpointUnreachable, "does not speak TLS"},
		{"closed", func(s *Server, f *fakeAWS) { s.Dial = answering(f.t, "") }, "eu-west-1", 503, unavailable, "aws: no connection to dynamodb.eu-west-1.amazonaws.com within 1s: the connection to dynamodb.eu-west-1.amazonaws.com was closed"},
		{"silent", func(s *Server, f *fakeAWS) {
			s.Hold = 30 * time.Second
			s.Dial = answering(f.t, "silence")
		}, "eu-west-1", 503, unavailable, "did not finish the TLS handshake within 10s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAWS(t)
				s, _ := newServer(t, f)
				s.Regions, s.Hold = []string{"eu-west-1", "eu-west-2"}, time.Second
				if tt.server != nil {
					tt.server(s, f)
				}
				wantError(t, ask(s, signed(t, "PutItem", getItem, profileKey, tt.region)), tt.status, tt.kind, tt.sentence)
			})
		})
	}
}

// serveExpired puts a server with an expired certificate, which s trusts, behind s.
func serveExpired(s *Server, f *fakeAWS) {
	cert, roots := newCertificate(f.t, time.Now().Add(-time.Hour))
	s.RootCAs = roots
	s.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		f.serve.Go(func() {
			defer far.Close()
			_ = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
		})
		return near, nil
	}
}

// answering dials to something that reads a hello and writes text, or never answers at all.
func answering(t testing.TB, text string) dialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { // ends when near is closed
			defer far.Close()
			_, _ = far.Read(make([]byte, 4096))
			if text == "silence" {
				_, _ = io.Copy(io.Discard, far)
				return
			}
			_, _ = io.WriteString(far, text)
		}()
		t.Cleanup(func() { near.Close() })
		return near, nil
	}
}

func TestStreamsFailureExplainsGatewayEndpoints(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFakeAWS(t))
	s.Dial = failingDial(hopFailure{"aws", "connection refused", true})
	w := ask(s, at("/", "DynamoDBStreams_20120810.ListStreams")(t))
	wantError(t, w, 400, endpointUnreachable, "needs an interface endpoint com.amazonaws.eu-west-1.dynamodb-streams")
}
