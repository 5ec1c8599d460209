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

// agent runs ssh-agent on the laptop and returns the variable that names it.
func (r *rig) agent(env ...string) []string {
	r.tb.Helper()
	dir, err := os.MkdirTemp("", "agent") // the lab's own may be too long for a socket
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	agent := r.Command(r.tb.Context(), lab.Laptop, "ssh-agent", "-D", "-a", socket)
	agent.Env = append(agent.Env, env...)
	if err := agent.Start(); err != nil {
		r.tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = agent.Wait() // it is killed
	}()
	r.tb.Cleanup(func() {
		_ = agent.Process.Kill()
		<-ended
	})
	eventually(r.tb, "the agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	return []string{"SSH_AUTH_SOCK=" + socket}
}

// away moves the laptop's key into the agent: no file is left of it.
func (r *rig) away(env []string, args ...string) {
	r.tb.Helper()
	r.tool(env, "ssh-add", append(append([]string{"-q"}, args...), r.door.Key)...)
	if err := os.Remove(r.door.Key); err != nil {
		r.tb.Fatal(err)
	}
}

func TestAgentLogsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	env := r.agent()
	r.away(env)
	r.connectWith(env)
	r.listed()
}

// The certificate is nowhere but in the agent.
func TestCertificateInTheAgentLogsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	certify := r.openForCertificates()
	certify("-1h:+1h")
	env := r.agent()
	r.away(env)
	for _, public := range []string{".pub", "-cert.pub"} {
		if err := os.Remove(r.door.Key + public); err != nil {
			t.Fatal(err)
		}
	}
	r.configure("Host "+lab.BastionName, "HostName "+lab.BastionAddr, "User "+lab.User, "UserKnownHostsFile "+r.door.KnownHosts)
	r.connectWith(env)
	r.listed()
	if want := "Accepted certificate ID \"laptop\""; !strings.Contains(r.door.Log(), want) {
		t.Errorf("sshd logged\n%s\nwant %q in it", r.door.Log(), want)
	}
}

// What an agent does not do is told, with what the person can do.
func TestAgentThatDoesNotSignIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	env := r.agent("SSH_ASKPASS=/bin/false", "DISPLAY=none") // whoever is asked says no
	r.away(env, "-c")
	r.refuses(t, env, []string{lab.BastionName}, 5, "the agent did not sign with ed25519 SHA256:")

	says := filepath.Join(r.Dir, "says")
	r.write(says, "#!/bin/sh\necho secret\n")
	if err := os.Chmod(says, 0o700); err != nil {
		t.Fatal(err)
	}
	r.tool(append(env, "SSH_ASKPASS="+says, "SSH_ASKPASS_REQUIRE=force"), "ssh-add", "-q", "-x")
	r.refuses(t, env, []string{lab.BastionName}, 5, "the agent shows no key: it is empty, or locked (ssh-add -X unlocks it)")
	r.tool(append(env, "SSH_ASKPASS="+says, "SSH_ASKPASS_REQUIRE=force"), "ssh-add", "-q", "-X")
}

// Each key that is offered counts as an attempt.
func TestTooManyKeysInTheAgentAreExplained(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{Config: []string{"MaxAuthTries 2"}})
	env := r.agent()
	for n := range 5 {
		key := filepath.Join(r.Dir, fmt.Sprintf("key%d", n))
		r.tool(nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
		r.tool(env, "ssh-add", "-q", key)
	}
	host := []string{"Host " + lab.BastionName, "HostName " + lab.BastionAddr, "User " + lab.User, "UserKnownHostsFile " + r.door.KnownHosts}
	r.configure(append(host, "IdentityFile none")...)
	r.refuses(t, env, []string{lab.BastionName}, 5, "too many keys were offered", "IdentityFile", "IdentitiesOnly yes")
	// The right one among them, as the person is told.
	r.tool(env, "ssh-add", "-q", r.door.Key)
	r.configure(append(host, "IdentityFile "+r.door.Key, "IdentitiesOnly yes")...)
	r.connectWith(env)
	r.listed()
}
