//go:build linux

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// withRelay opens the door of a bastion whose ddbproxy-relay is a script.
func (r *rig) withRelay(script string) {
	r.tb.Helper()
	r.WriteDevFile("bin/ddbproxy-relay", "#!/bin/sh\n"+script+"\n", 0o755)
	r.openDoor(lab.SSHDOptions{Path: filepath.Join(r.DevHome, "bin") + ":/usr/bin:/bin"})
}

// Each of these is an error of the hop "relay", within a deadline, with what the
// program said.
func TestProgramThatIsNoRelay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, script, said string }{
		{"dies", "echo out of memory >&2; exit 139", `no relay answered; it printed "out of memory"`},
		{"is killed", "echo out of memory >&2; kill -9 $$", `no relay answered; it printed "out of memory`},
		{"prints garbage", "echo out of memory >&2; head -c 5000 /dev/urandom", `and on standard error "out of memory"`},
		{"floods", "echo out of memory >&2; exec yes ddbproxy-relay 9", `and on standard error "out of memory"`},
		{"hangs", "echo out of memory >&2; exec sleep 300", `no answer for 15s; it printed "out of memory"`},
		{"floods standard error", "exec yes out of memory >&2", `memory out of memory out of `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			r.withRelay(tt.script)
			r.refuses(t, nil, []string{lab.BastionName, "--carrier", "relay"}, 6, "ddbproxy: relay: dev@", tt.said)
		})
	}
}

// The same after its hello: what waits for it is told.
func TestRelayThatGoesWrongLater(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, script, hold, said string }{
		{"dies", "exit 139", "3s", "ended: out of memory"},
		{"prints garbage", "exec cat /dev/urandom", "3s", "out of memory"},
		{"floods", "exec yes", "3s", "is silent, or what it says is not its protocol: out of memory"},
		{"hangs", "exec sleep 300", "12s", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			r.withRelay("echo ddbproxy-relay 1 odd; echo out of memory >&2; " + tt.script)
			r.connect("--hold", tt.hold)
			got := r.cli([]string{onlyOnce}, "list-tables", "--endpoint-url", localURL)
			contains(r, got.stderr, "(ServiceUnavailable)", "ddbproxy: relay: ", "the relay on the bastion ", tt.said)
		})
	}
}
