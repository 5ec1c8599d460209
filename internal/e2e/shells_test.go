//go:build linux

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// chatter is a start file that talks on both outputs, in the words of every shell.
const chatter = "echo Welcome to the bastion of the data team\nsh -c 'echo disk usage: 81% >&2'\n"

// Whatever reads the start command, and whatever it says first, the relay is
// uploaded and runs; where nothing can run the reason is told and ssh forwards.
func TestLoginShells(t *testing.T) {
	t.Parallel()
	relays, forwards := []string{byUpload, byRelay}, []string{byForward}
	for _, tt := range []struct {
		name          string
		shell, path   string
		file, text    string // a start file of it
		said, notSaid []string
	}{
		{"tcsh", "/bin/tcsh", "", ".cshrc", chatter, relays, forwards},
		{"zsh", "/bin/zsh", "", ".zshenv", chatter, relays, forwards},
		{"bash with extended patterns", "/bin/bash", "", ".bashrc", "shopt -s extglob nullglob failglob\nset -o noglob -o pipefail\n" + chatter, relays, forwards},
		{"restricted bash", "/bin/rbash", "", ".bashrc", chatter, relays, forwards},
		{"no PATH to speak of", "/bin/sh", "/nowhere", "", "", relays, forwards},
		{"no PATH for fish", "/usr/bin/fish", "/nowhere", "", "", relays, forwards},
		{"no PATH for tcsh", "/bin/tcsh", "/nowhere", "", "", relays, forwards},
		{"restricted bash and PATH", "/bin/rbash", "/nowhere", "", "", append([]string{"sh: command not found"}, byForward), []string{byRelay}},
		{"a terminal wanted", "/bin/bash", "", ".bashrc", "tty -s || { echo sorry, you must have a tty >&2; exit 1; }\n",
			append([]string{"sorry, you must have a tty"}, byForward), []string{byRelay}},
		{"no login", "/usr/sbin/nologin", "", "", "", append([]string{"This account is currently not available."}, byForward), []string{byRelay}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			if tt.file != "" {
				r.WriteDevFile(tt.file, tt.text, 0o644)
			}
			r.openDoor(lab.SSHDOptions{Shell: tt.shell, Path: tt.path})
			r.connect().serves(t, tt.said, tt.notSaid)
			r.viaTheEndpoint(t)
		})
	}
}

// Homes that cannot hold the relay: where there is no other place ssh forwards.
func TestHomesThatHoldNothing(t *testing.T) {
	t.Parallel()
	for mount, reason := range map[string]string{"noexec": "Permission denied", "ro": "Read-only file system", "size=64k": "No space left"} {
		t.Run(mount, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			r.openDoor(lab.SSHDOptions{HomeMount: mount})
			r.connect().serves(t, []string{byForward, reason}, []string{byRelay})
			r.viaTheEndpoint(t)
			contains(r, r.printed("status"), "forward (auto), ", "no relay could run there: ", reason)
		})
		t.Run(mount+", with a runtime directory", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			runtime := r.devDir("bastion-runtime")
			r.openDoor(lab.SSHDOptions{HomeMount: mount, Config: []string{"SetEnv XDG_RUNTIME_DIR=" + runtime}})
			r.connect().serves(t, []string{byUpload, byRelay}, []string{byForward})
			if found, err := filepath.Glob(filepath.Join(runtime, "ddbproxy", "relay-*")); len(found) != 1 || err != nil {
				t.Errorf("in the runtime directory: %q, %v, want one relay", found, err)
			}
		})
	}
}
