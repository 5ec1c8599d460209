//go:build linux

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// The words of ddbproxy about how it travels.
const (
	byUpload  = "relay sent ("
	byRelay   = ", by the relay there"
	byForward = ", by ssh forwarding"
)

// serves checks that calls get through, and that ddbproxy said and did not say
// these words about how.
func (s *session) serves(t *testing.T, said, notSaid []string) {
	t.Helper()
	if got, want := s.rig.local("list-tables", "--output", "text"), (outcome{}); got != want {
		t.Errorf("list-tables: %+v, want an empty list", got)
	}
	contains(s.rig, s.stderr.String(), said...)
	for _, words := range notSaid {
		if strings.Contains(s.stderr.String(), words) {
			t.Errorf("ddbproxy said %q, want no %q in it", s.stderr, words)
		}
	}
}

func TestRelayIsUploadedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})

	first := r.connect()
	first.serves(t, []string{byUpload, byRelay}, []string{byForward})
	first.stop(os.Interrupt)
	second := r.connect()
	second.serves(t, []string{byRelay}, []string{byUpload, byForward})

	dir := filepath.Join(r.DevHome, ".cache", "ddbproxy")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || !strings.HasPrefix(files[0].Name(), "relay-") {
		t.Fatalf("the cache holds %v, %v, want one relay", files, err)
	}
	built, err := os.ReadFile(filepath.Join(programs, "ddbproxy-relay"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, files[0].Name())); err != nil || !bytes.Equal(got, built) {
		t.Errorf("the cached relay has %d bytes, %v, want the %d of the one beside ddbproxy", len(got), err, len(built))
	}
	for path, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, filepath.Join(dir, files[0].Name()): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
}

// installRelay puts the relay into ~/bin on the bastion and returns its path.
func (r *rig) installRelay() string {
	r.tb.Helper()
	program, err := os.ReadFile(filepath.Join(programs, "ddbproxy-relay"))
	if err != nil {
		r.tb.Fatal(err)
	}
	r.WriteDevFile("bin/ddbproxy-relay", string(program), 0o755)
	return filepath.Join(r.DevHome, "bin", "ddbproxy-relay")
}

func TestInstalledRelayIsUsed(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	installed := r.installRelay()
	r.openDoor(lab.SSHDOptions{Path: filepath.Dir(installed) + ":/usr/bin:/bin"})
	r.connect().serves(t, []string{byRelay}, []string{byUpload, byForward})
	if got := len(r.onBastion("ddbproxy-relay")); got != 1 {
		t.Errorf("%d installed relays run, want 1", got)
	}
	if _, err := os.Stat(filepath.Join(r.DevHome, ".cache")); !os.IsNotExist(err) {
		t.Errorf("~/.cache on the bastion: %v, want nothing there", err)
	}
}

// A forced command lets an account do nothing else: no shell, no forwarding.
func TestForcedCommandIsEnough(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	installed := r.installRelay()
	r.openDoor(lab.SSHDOptions{KeyOptions: `restrict,command="` + installed + ` -region eu-west-1"`})
	r.connect().serves(t, []string{byRelay}, []string{byUpload, byForward})
}

func TestCarriersOfDifficultBastions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		door          lab.SSHDOptions
		rc            string // the shell's ~/.bashrc
		args          []string
		said, notSaid []string
	}{
		{
			name: "no forwarding", door: lab.SSHDOptions{Config: []string{"AllowTcpForwarding no"}},
			said: []string{byUpload, byRelay}, notSaid: []string{byForward},
		},
		{
			name: "forwarding disabled altogether", door: lab.SSHDOptions{Config: []string{"DisableForwarding yes"}},
			said: []string{byRelay}, notSaid: []string{byForward},
		},
		{
			name: "forwarding asked for", args: []string{"--carrier", "forward"},
			said: []string{byForward}, notSaid: []string{byRelay, byUpload},
		},
		{
			name: "profile that talks", door: lab.SSHDOptions{Shell: "/bin/bash"},
			rc:   "echo Welcome to the bastion of the data team\necho 'disk usage: 81%' >&2\n",
			said: []string{byUpload, byRelay}, notSaid: []string{byForward},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			if tt.rc != "" {
				r.WriteDevFile(".bashrc", tt.rc, 0o644)
			}
			r.openDoor(tt.door)
			r.connect(tt.args...).serves(t, tt.said, tt.notSaid)
			r.viaTheEndpoint(t)
		})
	}
}

// devDir is a directory of the bastion's user, outside of the home.
func (r *rig) devDir(name string) string {
	r.tb.Helper()
	dir := filepath.Join(r.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		r.tb.Fatal(err)
	}
	if err := os.Chown(dir, r.UID, r.UID); err != nil {
		r.tb.Fatal(err)
	}
	return dir
}
