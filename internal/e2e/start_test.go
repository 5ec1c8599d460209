//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// Each reason not to start has its exit code and a text that says what to do.
func TestConnectSaysWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	for _, tt := range []struct {
		name string
		args []string // after connect; none is the bastion
		env  []string
		code int
		said []string
	}{
		{name: "unknown host", args: []string{"nowhere.invalid"}, code: 3, said: []string{"nowhere.invalid"}},
		{name: "wrong port", args: []string{lab.BastionName + ":2222"}, code: 3, said: []string{"connection refused", "HOST:PORT"}},
		{name: "no region", env: []string{"AWS_CONFIG_FILE=/dev/null"}, code: 2, said: []string{"no region", "--region"}},
		{name: "a region that is none", env: []string{"AWS_REGION=mars"}, code: 2, said: []string{`"mars"`}},
		{name: "unknown profile", args: []string{lab.BastionName, "--profile", "nobody"}, code: 2, said: []string{`"nobody"`, "list-profiles"}},
		{name: "unknown profile in the environment", env: []string{"AWS_PROFILE=nobody"}, code: 2, said: []string{`"nobody"`}},
		{name: "authority unknown here", env: []string{"AWS_CA_BUNDLE="}, code: 8, said: []string{ddbName, "not signed by an authority known here", "--ca-bundle"}},
		{name: "no such CA bundle", args: []string{lab.BastionName, "--ca-bundle", "/nowhere.pem"}, code: 2, said: []string{"/nowhere.pem"}},
		{name: "variable of a flag", env: []string{"DDBPROXY_HOLD=long"}, code: 2, said: []string{"DDBPROXY_HOLD=long"}},
		{name: "variable of another flag", env: []string{"DDBPROXY_CARRIER=pigeon"}, code: 2, said: []string{"pigeon", "auto, relay or forward"}},
		{name: "hold out of bounds", args: []string{lab.BastionName, "--hold", "2m"}, code: 2, said: []string{"--hold 2m0s"}},
		{name: "open to the network", args: []string{lab.BastionName, "--listen", "0.0.0.0:8000"}, code: 2, said: []string{"not a loopback address"}},
		{name: "no bastion", args: []string{}, code: 2, said: []string{"no bastion given"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.args == nil {
				tt.args = []string{lab.BastionName}
			}
			r.refuses(t, tt.env, tt.args, tt.code, tt.said...)
		})
	}
}

// refuses checks that connect ends with a code and says these words.
func (r *rig) refuses(t *testing.T, env, args []string, code int, said ...string) {
	t.Helper()
	got, stderr := r.run(env, append([]string{"connect"}, args...)...)
	if got != code || !strings.HasPrefix(stderr, "ddbproxy: ") {
		t.Errorf("connect %v ended with %d and said %q, want %d", args, got, stderr, code)
	}
	for _, w := range said {
		if !strings.Contains(stderr, w) {
			t.Errorf("connect %v said %q, want %q in it", args, stderr, w)
		}
	}
	if n := len(r.relays()); n != 0 {
		t.Errorf("%d relays are left on the bastion, want none", n)
	}
}

func TestBusyPortIsNamedWithItsProgram(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	ln, err := r.Listen(lab.Laptop, "tcp", "127.0.0.1:8000")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r.refuses(t, nil, []string{lab.BastionName}, 7, "8000 is in use by", fmt.Sprintf("(pid %d)", os.Getpid()), "--listen 8001")
}

func TestUnknownHostKeyIsNotTakenWithoutATerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	config, err := os.ReadFile(r.door.ClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	asks := filepath.Join(r.Dir, "ssh_config")
	r.write(asks, strings.Replace(string(config), "StrictHostKeyChecking yes", "StrictHostKeyChecking ask", 1))
	r.write(r.door.KnownHosts, "")
	r.refuses(t, nil, []string{lab.BastionName, "-F", asks}, 4, "ssh: ", "SHA256:")
	if known, err := os.ReadFile(r.door.KnownHosts); err != nil || len(known) != 0 {
		t.Errorf("known_hosts is %q, %v, want it as it was", known, err)
	}
}

func TestChangedHostKeyIsToldLoudly(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.door.RotateHostKey()
	r.refuses(t, nil, []string{lab.BastionName}, 4, "HOST KEY CHANGED", "ssh-keygen -f")
}

func TestRefusedKeyIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.write(r.door.AuthorizedKeys, "")
	r.refuses(t, nil, []string{lab.BastionName}, 5, "login refused for", filepath.Base(r.door.Key), "ssh-add")
}

// Asked for, the relay is not silently replaced by something else.
func TestRelayThatCannotRunIsAnErrorWhenAskedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{HomeMount: "noexec"})
	r.refuses(t, nil, []string{lab.BastionName, "--carrier", "relay"}, 6, "no directory there can hold and run a program", "--carrier forward")
}
