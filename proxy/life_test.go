package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

// collections is how often the process was told to collect.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/forced:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// takenOver is the answer to a CONNECT, whose connection is conn.
type takenOver struct {
	http.ResponseWriter
	conn net.Conn
}

func (w takenOver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// tunnel opens one through s to whatever Dial gives.
func tunnel(t *testing.T, s *Server) net.Conn {
	t.Helper()
	near, caller := net.Pipe()
	go s.ServeHTTP(takenOver{httptest.NewRecorder(), near}, &http.Request{
		Method: http.MethodConnect, RequestURI: "dynamodb.eu-west-1.amazonaws.com:443", RemoteAddr: "127.0.0.1:50000",
	})
	answer := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
	if _, err := io.ReadFull(caller, answer); err != nil {
		t.Fatal(err)
	}
	return caller
}

// It is not parallel, since the collections are those of all tests.
func TestMemoryGoesBackOnceNothingHappens(t *testing.T) {
	for _, tt := range []struct {
		what string
		open func(t *testing.T, s *Server) (use func())
	}{
		{"calls", func(t *testing.T, s *Server) func() {
			return func() { served(t, s, "GetItem") }
		}},
		{"a tunnel that stays open", func(t *testing.T, s *Server) func() {
			far, aws := net.Pipe()
			s.Dial = func(context.Context, string, string) (net.Conn, error) { return far, nil }
			caller := tunnel(t, s)
			t.Cleanup(func() { caller.Close(); aws.Close() })
			return func() {
				go io.WriteString(caller, "hello")
				if _, err := io.ReadFull(aws, make([]byte, 5)); err != nil {
					t.Error(err)
				}
			}
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAWS(t)
				s, _ := newServer(t, f)
				use := tt.open(t, s)
				before := collections()
				for range 2 {
					use()
					time.Sleep(tidyAfter - time.Second)
					synctest.Wait()
					if n := collections() - before; n != 0 {
						t.Errorf("%d collections while it is in use, want none", n)
					}
				}
				for range 2 { // and no more later
					time.Sleep(time.Hour)
					synctest.Wait()
					if n := collections() - before; n != 2 {
						t.Errorf("%d collections afterwards, want 2", n)
					}
				}
			})
		})
	}
}
