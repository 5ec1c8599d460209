package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy"
)

// listenAsSession gives the socket of a session on a port.
func listenAsSession(t *testing.T, port string) net.Listener {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	if err := os.Mkdir(filepath.Join(dir, "ddbproxy"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "ddbproxy", "127.0.0.1-"+port+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestStatusTellsOfASessionThatDoesNotAnswer(t *testing.T) {
	listenAsSession(t, "8001")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"status", "--local-port", "8001"}, exitFailed, "127.0.0.1-8001.sock\nddbproxy: hint: it may be stopped"},
		{[]string{"status", "--local-port", "8002"}, exitFailed, "no session of yours is on port 8002"},
		{[]string{"status", "--local-port", "http"}, exitUsage, "--local-port http: not a port"},
		{[]string{"env"}, exitFailed, "a session does not answer at "},
		{[]string{"env", "--local-port", "http"}, exitUsage, "--local-port http: not a port"},
	} {
		var stdout, stderr strings.Builder
		code := run(tt.args, strings.NewReader(""), &stdout, &stderr)
		if code != tt.code || !strings.Contains(stderr.String(), tt.want) || stdout.String() != "" {
			t.Errorf("%q: exit code %d, %q and %q, want %d and %q", tt.args, code, &stdout, &stderr, tt.code, tt.want)
		}
	}
}

func TestStatusShowsNoControlCharacters(t *testing.T) {
	l := listenAsSession(t, "8001")
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"url":"http://localhost:8001","region":"eu\u001b[2J","up":true,"compressing":true,"bastions":[` +
			`{"destination":"a\u0007","up":true,"since":"2999-01-01T00:00:00Z","carrier":"\u001b]0;x"},{"destination":"b","error":"\u009b31m\nx"}]}`))
	})}
	served := make(chan struct{})
	go func() { defer close(served); s.Serve(l) }()
	defer func() { s.Close(); <-served }()
	var stdout, stderr strings.Builder
	code := run([]string{"status"}, strings.NewReader(""), &stdout, &stderr)
	want := "http://localhost:8001  eu[2J, answers compressed\n  a  up 0s, ]0;x\n  b  connecting\n    31m x\n"
	if code != 0 || stdout.String() != want {
		t.Errorf("exit code %d, %q, want %q", code, &stdout, want)
	}
}

func TestStatusTellsTheCarrierAndWhy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status bastionStatus
		want   string
	}{
		{"chosen", bastionStatus{Carrier: "relay", Reason: "it runs there"}, "relay (auto: it runs there)\n"},
		{"asked for", bastionStatus{Carrier: "relay"}, "relay\n"},
		{"far", bastionStatus{Carrier: "relay", RTT: 150}, "relay, 150 ms away\n"},
		{"no relay", bastionStatus{Carrier: "forward", Reason: "relay: b: no directory", InUse: true}, "forward (auto), in use\n    no relay could run there: relay: b: no directory\n"},
		{"forward asked for", bastionStatus{Carrier: "forward"}, "forward\n"},
	} {
		now := time.Now()
		tt.status.Up, tt.status.Destination, tt.status.Since = true, "b", now
		var out strings.Builder
		sessionStatus{URL: "u", Region: "eu-west-1", Bastions: []bastionStatus{tt.status}}.print(&out, now)
		if want := "u  eu-west-1\n  b  up 0s, " + tt.want; out.String() != want {
			t.Errorf("%s: %q, want %q", tt.name, &out, want)
		}
	}
}

// Ctrl-C while DynamoDB is being reached comes before the session is up: there
// is no greeting after it.
func TestInterruptWhileDynamoDBIsReachedOpensNoSession(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancelCause(t.Context())
	s := &session{proxy: &proxy.Server{
		Regions: []string{"eu-west-1"}, Identities: []proxy.Identity{{Keys: []proxy.Key{proxy.NewKey()}}},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			interrupt(errInterrupted)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
	}}
	defer s.proxy.Close()
	if err := s.look(ctx); !errors.Is(err, errInterrupted) {
		t.Errorf("look = %v, want %v", err, errInterrupted)
	}
}
