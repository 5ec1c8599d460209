package relayd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// Lists as Linux prints them, of an account 1000.
const (
	heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	open4   = "   1: 0A00000A:D2F0 0118345E:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 41975 1 0000000000000000 20 4 30 10 -1\n"
	open6   = "   0: 0000000000000000FFFF00000A00000A:D2F1 0000000000000000FFFF00000118345E:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 41976 1 0000000000000000 20 4 0 10 -1\n"
)

func TestConnectionsOfAnAccount(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, list string
		want       int
	}{
		{"none", heading, 0},
		{"one", heading + open4, 1},
		{"one by IPv6", heading + open6, 1},
		{"being opened", strings.Replace(open4, " 01 00", " 02 00", 1), 1},
		{"half closed", strings.Replace(open4, " 01 00", " 05 00", 1), 1},
		{"closed, and on its way out", strings.Replace(open4, " 41975 ", " 0 ", 1), 0},
		{"another account's", strings.Replace(open4, "  1000 ", "  1001 ", 1), 0},
		{"another port", strings.Replace(open4, ":01BB", ":0016", 1), 0},
		{"from the port", strings.Replace(strings.Replace(open4, ":01BB", ":C001", 1), ":D2F0", ":01BB", 1), 0},
		{"a line that is cut", open4[:60], 0},
		{"no line", "\n\n: :01BB\n", 0},
	} {
		if got := held([]byte(tc.list), 1000); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestCensusSharesACount(t *testing.T) {
	t.Parallel()
	tcp := filepath.Join(t.TempDir(), "tcp")
	write := func(text string) {
		if err := os.WriteFile(tcp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &census{files: []string{tcp, "/nowhere/tcp6"}, uid: 1000}
	want := func(since time.Time, n int) {
		t.Helper()
		if got, err := c.count(since); got != n || err != nil {
			t.Errorf("%d, %v, want %d", got, err, n)
		}
	}
	write(heading + open4)
	before := time.Now().Add(-time.Nanosecond)
	want(before, 1)
	write(heading + open4 + open4)
	want(before, 1) // that count came after it
	want(time.Now(), 2)
	c.files = []string{"/nowhere/tcp", tcp}
	if _, err := c.count(time.Now()); err == nil || !strings.Contains(err.Error(), "cannot be counted: open /nowhere/tcp") {
		t.Errorf("without the kernel's list: %v, want an error", err)
	}
}

// TestOtherRelaysCount: a connection that is one too many in the account is closed
// again, and so is one that cannot be counted.
func TestOtherRelaysCount(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		n    int
		err  error
		want relay.Kind
	}{
		{"room for it", 2, nil, ""},
		{"one too many", 3, nil, relay.KindLimit},
		{"nobody knows", 0, errors.New("no list"), relay.KindInternal},
	} {
		near, far := net.Pipe()
		g := &gate{
			limits: limits{connections: 2},
			dial:   func(context.Context, string, string) (net.Conn, error) { return near, nil },
			count:  func(time.Time) (int, error) { return tc.n, tc.err },
		}
		conn, err := g.DialContext(t.Context(), "tcp", "x:443")
		var refusal *relay.Error
		if errors.As(err, &refusal); tc.want == "" && err != nil || tc.want != "" && (refusal == nil || refusal.Kind != tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if err == nil {
			conn.Close()
		}
		if _, err := far.Read(make([]byte, 1)); err == nil { // would wait if it were open
			t.Errorf("%s: the connection is open", tc.name)
		}
		if n := g.open.Load(); n != 0 {
			t.Errorf("%s: %d are open, want 0", tc.name, n)
		}
	}
}

func BenchmarkCensus(b *testing.B) {
	c := newCensus()
	if _, err := c.count(time.Now()); err != nil {
		b.Skip(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for range 500 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
	}
	for b.Loop() {
		if _, err := c.count(time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
