//go:build linux

package e2e

import (
	"crypto/rand"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// distance makes a window's worth in a round trip easy to reach for a slow machine.
const distance = 300 * time.Millisecond

// newBulk is a rig whose DynamoDB answers every read with 1 MB, of which read asks
// eight times at the same moment: several times the window of an ssh channel.
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
		for range 8 {
			req, err := signedFor(t.Context(), localURL, "Scan", []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if body := r.whole(t, req); body != string(page) {
					t.Errorf("%d bytes, which are not the page", len(body))
				}
			})
		}
		all.Wait()
	}
}

// whole sends a request until its answer arrives whole, as an SDK does: one whose head
// has gone out and whose body breaks is the caller's to ask for again.
func (r *rig) whole(t *testing.T, req *http.Request) string {
	for range 5 {
		again := req.Clone(t.Context())
		again.Body, _ = req.GetBody() // of bytes: there is no error
		resp, body, err := r.try(t, again)
		switch {
		case err == nil:
			return body
		case resp == nil:
			t.Error(err)
			return ""
		}
	}
	t.Error("the answer broke five times")
	return ""
}

// A far bastion and much to carry: sshd sends more than the window that its
// channels begin with, by one relay on the one session that it allows.
func TestRushOverADistanceHasMoreThanAWindowUnderWay(t *testing.T) {
	t.Parallel()
	r, read := newBulk(t)
	r.openDoor(lab.SSHDOptions{Config: []string{"MaxSessions 1"}})
	r.connect("--compress", "off")
	const window = 2 << 20 // of OpenSSH and of x/crypto/ssh
	within(t, time.Minute, "more than a window is under way", func() bool {
		read()
		return r.Uplink.Stats().Most > window*5/4 // headers of SSH and TCP are less
	})
	t.Logf("%.1f MB were under way", float64(r.Uplink.Stats().Most)/1e6)
	if n := len(r.relays()); n != 1 {
		t.Errorf("%d relays on the bastion, want 1", n)
	}
}

// A relay that is killed with answers under way takes nothing along but their bodies:
// what has not begun is sent again, by another relay on the same connection.
func TestRelayIsKilledInARush(t *testing.T) {
	t.Parallel()
	r, read := newBulk(t)
	r.openDoor(lab.SSHDOptions{})
	r.connect("--compress", "off")
	read()
	before, logins := r.relays(), r.onBastion("sshd")
	var reading sync.WaitGroup
	carried := r.Uplink.Stats().Bytes
	reading.Go(read)
	eventually(t, "answers come", func() bool { return r.Uplink.Stats().Bytes > carried+1<<20 })
	kill(t, before)
	reading.Wait()
	read()
	after := r.relays()
	if len(before) != 1 || len(after) != 1 || slices.Equal(before, after) {
		t.Errorf("relays %v were %v before, want one each, and another", after, before)
	}
	if now := r.onBastion("sshd"); !slices.Equal(now, logins) {
		t.Errorf("sshd's processes %v were %v before: there was another login", now, logins)
	}
}
