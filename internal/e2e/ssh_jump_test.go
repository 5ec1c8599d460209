//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// Two sshds on the bastion, each with its key and its known_hosts: the way to
// the second is through the first.
func TestJumpHostsAndProxyCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	first := r.door
	files := filepath.Dir(first.Key)
	for _, name := range []string{"id_ed25519", "known_hosts"} { // the second door takes these names
		if err := os.Rename(filepath.Join(files, name), filepath.Join(files, "jump_"+name)); err != nil {
			t.Fatal(err)
		}
	}
	r.openDoor(lab.SSHDOptions{Port: 2222})
	hosts := func(way string) {
		r.configure("Host jump", "HostName "+lab.BastionAddr, "User "+lab.User,
			"IdentityFile "+files+"/jump_id_ed25519", "UserKnownHostsFile "+files+"/jump_known_hosts",
			"Host "+lab.BastionName, fmt.Sprintf("HostName %s\nPort 2222", lab.BastionAddr), "User "+lab.User,
			"IdentityFile "+r.door.Key, "UserKnownHostsFile "+r.door.KnownHosts, way,
			"Host *", "IdentitiesOnly yes", "StrictHostKeyChecking yes", "GlobalKnownHostsFile /dev/null")
	}
	for _, way := range []string{"ProxyJump jump", "ProxyCommand ssh -W %h:%p jump"} {
		hosts(way)
		s := r.connect()
		r.listed()
		s.stop(os.Interrupt)
		eventually(t, way+": nothing of it is left on the bastion", func() bool { return len(r.onBastion("ddbproxy")) == 0 })
	}
	if log := r.door.Log(); strings.Contains(log, "from "+lab.LaptopAddr) {
		t.Errorf("the second sshd was reached from the laptop:\n%s", log)
	}

	first.Stop()
	hosts("ProxyJump jump")
	code, said := r.run(nil, "connect", lab.BastionName)
	if want := "ssh: " + lab.User + "@" + lab.BastionAddr + ":22: connection refused"; code == 0 || !strings.Contains(said, want) {
		t.Errorf("without the jump host: exit code %d and %q, want %q", code, said, want)
	}
	hosts("ProxyCommand ssh -W %h:%p jump")
	code, said = r.run(nil, "connect", lab.BastionName)
	if want := "its ProxyCommand ended (exit status 255): "; code == 0 || !strings.Contains(said, want) || strings.Count(said, "\n") > 2 {
		t.Errorf("without the jump host: exit code %d and %q, want %q in one error", code, said, want)
	}
}

// A laptop without OpenSSH's client.
func TestConfigurationIsReadWithoutTheSSHProgram(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	tools := filepath.Join(r.Dir, "tools") // what the lab itself needs
	for _, name := range []string{"mount", "mkdir"} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(tools, 0o700), os.Symlink(program, filepath.Join(tools, name))); err != nil {
			t.Fatal(err)
		}
	}
	no := []string{"PATH=" + tools}
	r.connectWith(no)
	r.listed()
	config, err := os.ReadFile(r.door.ClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	r.configure("Match exec true", string(config))
	code, said := r.run(no, "connect", lab.BastionName, "--listen", "8001")
	for _, want := range []string{"config:1: match: only OpenSSH can evaluate that", "install OpenSSH's client"} {
		if code == 0 || !strings.Contains(said, want) {
			t.Errorf("exit code %d and %q, want %q in it", code, said, want)
		}
	}
}
