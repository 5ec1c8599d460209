//go:build linux

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// A call made while the tunnel is gone is held, and its client notices nothing.
func TestCallsAreHeldWhileTheTunnelComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	for _, tt := range []struct {
		name   string
		break_ func()
		mend   func()
	}{
		{"sessions killed", r.door.KillSessions, func() {}},
		{"relay killed", func() { kill(t, r.relays()) }, func() {}},
		{"daemon away", r.door.Kill, r.door.Start},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := strings.Count(s.stderr.String(), "tunnel down")
			tt.break_()
			eventually(t, "ddbproxy has noticed", func() bool { return strings.Count(s.stderr.String(), "tunnel down") > before })
			// AWS_MAX_ATTEMPTS is 1: it is ddbproxy that waits.
			calls := make(chan outcome, 2)
			script := lab.ClientScript(t, "boto3_story.py")
			go func() {
				calls <- r.cli([]string{onlyOnce}, "list-tables", "--output", "text", "--endpoint-url", localURL)
			}()
			go func() {
				calls <- r.client([]string{onlyOnce, "AWS_ENDPOINT_URL_DYNAMODB=" + localURL}, script, "list")
			}()
			tt.mend()
			for range 2 {
				if got := <-calls; got.code != 0 {
					t.Errorf("%+v, want it held and answered", got)
				}
			}
		})
	}
}

// A network that swallows everything is the laptop's that moves, and no
// connection says so.
func TestTunnelOutlivesABlackHole(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	r.Uplink.BlackHole(true)
	wait(t, 20*time.Second)
	conn := r.dialLocal(t) // a closed port would be another error for each client
	conn.Close()
	r.Uplink.BlackHole(false)
	eventually(t, "calls get through again", func() bool { return r.local("list-tables").code == 0 })
	select {
	case <-s.ended:
		t.Error("ddbproxy has ended, want it to go on")
	default:
	}
}

// wait lets time pass for what has no event, unless the test is over.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
