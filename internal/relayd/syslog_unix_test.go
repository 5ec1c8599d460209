//go:build unix

package relayd

import (
	"log/slog"
	"log/syslog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// TestSyslogHasALineThatIsTooLongForIt: a datagram of 1 MiB is more than any
// kernel takes by default.
func TestSyslogHasALineThatIsTooLongForIt(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "log") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w, err := syslog.Dial("unixgram", path, syslog.LOG_AUTHPRIV|syslog.LOG_INFO, "ddbproxy-relay")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var told lines
	newAuditor(w, slog.New(slog.NewTextHandler(&told, nil))).write(relay.Record{ID: "A", Began: time.Now(), Reason: strings.Repeat("x", 1<<20)})
	if said := told.text.String(); said != "" {
		t.Fatalf("told %q", said)
	}
	datagram := make([]byte, 64<<10)
	n, err := l.Read(datagram)
	if text := string(datagram[:n]); err != nil || !strings.Contains(text, " id=A ") || !strings.HasSuffix(text, " short=true\n") {
		t.Errorf("syslog has %q, %v", text, err)
	}
}
