//go:build linux

package e2e

import (
	"crypto/rand"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// distance makes a window's worth in a round trip easy to reach for a slow machine.
const distance = 600 * time.Millisecond

// newBulk is a rig whose DynamoDB answers every read with 1 MB, of which read asks
// four times at the same moment: more than the window of an ssh channel.
func newBulk(t *testing.T) (r *rig, read func()) {
	t.Helper()
	page := make([]byte, 1<<20)
	rand.Read(page) // so that no compression makes it smaller
	r = newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: distance}}, func(s *edge.Server) {
		s.Backend = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	})
	return r, func() {
		t.Helper()
		var all sync.WaitGroup
		for range 4 {
			req, err := signedFor(t.Context(), localURL, "Scan", []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if _, body := r.post(t, req); body != string(page) {
					t.Errorf("%d bytes, which are not the page", len(body))
				}
			})
		}
		all.Wait()
	}
}

// A far bastion and much to carry: one channel's window is the limit then, and
// further relays are started as far as sshd lets them.
func TestBulkOverADistanceTakesFurtherChannels(t *testing.T) {
	t.Parallel()
	r, read := newBulk(t)
	r.openDoor(lab.SSHDOptions{Config: []string{"MaxSessions 2"}})
	s := r.connect("-v")
	eventually(t, "further relays were asked for", func() bool {
		read()
		return strings.Contains(s.stderr.String(), "no further relay")
	})
	read()
	if n := len(r.relays()); n != 2 {
		t.Errorf("%d relays on the bastion, want 2", n)
	}
	contains(r, r.printed("status"), "relay (auto: it runs there), 2 channels, ")
	contains(r, r.printed("status", "--json"), `"channels": 2`)
	s.stayedUp(t)
}

// Further relays that are killed take nothing along but reads, which are sent
// again.
func TestFurtherRelaysAreKilled(t *testing.T) {
	t.Parallel()
	r, read := newBulk(t)
	r.openDoor(lab.SSHDOptions{})
	s := r.connect("-v")
	eventually(t, "further relays run", func() bool { read(); return len(r.relays()) == 8 })
	all := r.relays()
	slices.Sort(all)
	kill(t, all[1:])
	read()
	s.stayedUp(t)
}

// stayedUp checks that the session has not been replaced.
func (s *session) stayedUp(t *testing.T) {
	t.Helper()
	if said := s.stderr.String(); strings.Contains(said, "tunnel down") {
		t.Errorf("the tunnel went down:\n%s", said)
	}
}

// A bastion where nothing more starts: what hangs beside the first relay is given
// up, and the first goes on.
func TestFurtherRelaysHang(t *testing.T) {
	t.Parallel()
	r, read := newBulk(t)
	r.WriteDevFile("odd/ddbproxy-relay", "#!/bin/sh\nmkdir ~/first 2>/dev/null && exec "+r.installRelay()+" \"$@\"\nexec cat >/dev/null\n", 0o755)
	r.openDoor(lab.SSHDOptions{Path: filepath.Join(r.DevHome, "odd") + ":/usr/bin:/bin"})
	s := r.connect("-v")
	eventually(t, "further relays are given up", func() bool {
		read()
		return strings.Contains(s.stderr.String(), "no further relay")
	})
	read()
	s.stayedUp(t)
}
