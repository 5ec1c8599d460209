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
	no := r.withoutSSH()
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

// Three sshds: two to jump by, each with its user, its key and its host key, and
// the one at the end, which forwards nothing.
func TestTwoJumpsEachWithItsOwnUserAndKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	var sections []string
	var hops []*lab.SSHD
	for n, hop := range []string{"one", "two"} {
		port := 2201 + n
		r.openDoor(lab.SSHDOptions{Name: hop, Port: port, Config: []string{"AllowUsers hop-" + hop, "PermitTTY no"}})
		hops = append(hops, r.door)
		sections = append(sections, "Host hop-"+hop, "HostName "+lab.BastionAddr, fmt.Sprint("Port ", port), "User hop-"+hop,
			"IdentityFile "+r.door.Key, "UserKnownHostsFile "+r.door.KnownHosts)
	}
	r.openDoor(lab.SSHDOptions{Config: []string{"AllowTcpForwarding no"}})
	r.account("hop-one")
	r.account("hop-two")
	sections = append(sections, "Host "+lab.BastionName, "HostName "+lab.BastionAddr, "User "+lab.User, "ProxyJump hop-one,hop-two",
		"IdentityFile "+r.door.Key, "UserKnownHostsFile "+r.door.KnownHosts,
		"Host *", "IdentitiesOnly yes", "StrictHostKeyChecking yes", "GlobalKnownHostsFile /dev/null")
	r.configure(sections...)
	for i, env := range [][]string{nil, r.withoutSSH()} {
		s := r.connectWith(env)
		s.serves(t, []string{byRelay}, []string{byForward})
		s.stop(os.Interrupt)
		for _, hop := range []struct {
			door       *lab.SSHD
			user, from string
		}{{hops[0], "hop-one", lab.LaptopAddr}, {hops[1], "hop-two", lab.BastionAddr}, {r.door, lab.User, lab.BastionAddr}} {
			if got := strings.Count(hop.door.Log(), "Accepted publickey for "+hop.user+" from "+hop.from+" "); got != i+1 {
				t.Errorf("%d logins of %s from %s, want %d:\n%s", got, hop.user, hop.from, i+1, hop.door.Log())
			}
		}
	}

	hops[1].RotateHostKey()
	r.refuses(t, nil, []string{lab.BastionName}, 4, "hop-two@"+lab.BastionAddr+":2202: HOST KEY CHANGED")
	hops[1].Stop()
	r.refuses(t, nil, []string{lab.BastionName}, 3, "hop-two@"+lab.BastionAddr+":2202: not reachable from the jump host hop-one@"+lab.BastionAddr+":2201")
}

// account gives the bastion one more user, who has User's id.
func (r *rig) account(name string) {
	r.tb.Helper()
	for file, line := range map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", name, r.UID, r.UID), "shadow": name + ":*:20000:0:99999:7:::\n",
	} {
		// The same file, since sshd has it mounted.
		f, err := os.OpenFile(filepath.Join(r.Dir, string(lab.Bastion), "etc", file), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			r.tb.Fatal(err)
		}
		_, err = f.WriteString(line)
		if err := errors.Join(err, f.Close()); err != nil {
			r.tb.Fatal(err)
		}
	}
}

// withoutSSH is the environment of a laptop without OpenSSH's client.
func (r *rig) withoutSSH() []string {
	r.tb.Helper()
	tools := filepath.Join(r.Dir, "tools") // what the lab itself needs
	for _, name := range []string{"mount", "mkdir"} {
		program, err := exec.LookPath(name)
		if err != nil {
			r.tb.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(tools, 0o700), os.Symlink(program, filepath.Join(tools, name))); err != nil {
			r.tb.Fatal(err)
		}
	}
	return []string{"PATH=" + tools}
}
