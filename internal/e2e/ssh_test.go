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

// tool runs one of OpenSSH's own programs on the laptop.
func (r *rig) tool(env []string, name string, args ...string) {
	r.tb.Helper()
	cmd := r.Command(r.tb.Context(), lab.Laptop, name, args...)
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.tb.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// authority makes a certificate authority's key and returns its file.
func (r *rig) authority() string {
	r.tb.Helper()
	file := filepath.Join(r.Dir, "authority")
	r.tool(nil, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", file)
	return file
}

// listed checks that a call through the session is answered.
func (r *rig) listed() {
	r.tb.Helper()
	if got, want := r.local("list-tables", "--output", "text"), (outcome{}); got != want {
		r.tb.Errorf("list-tables: %+v, want an empty list", got)
	}
}

// configure writes the laptop's ~/.ssh/config.
func (r *rig) configure(lines ...string) {
	r.tb.Helper()
	r.write(r.door.ClientConfig, strings.Join(lines, "\n")+"\n")
}

func TestAgentLogsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	dir, err := os.MkdirTemp("", "agent") // the lab's own may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	agent := r.Command(t.Context(), lab.Laptop, "ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = agent.Wait() // it is killed
	}()
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		<-ended
	})
	eventually(t, "the agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	env := []string{"SSH_AUTH_SOCK=" + socket}
	r.tool(env, "ssh-add", "-q", r.door.Key)
	if err := os.Remove(r.door.Key); err != nil {
		t.Fatal(err)
	}
	r.connectWith(env)
	r.listed()
}

func TestCertificateOfAnAuthorityLogsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	authority := r.authority()
	r.openDoor(lab.SSHDOptions{Config: []string{"TrustedUserCAKeys " + authority + ".pub"}})
	r.write(r.door.AuthorizedKeys, "")
	if code, said := r.run(nil, "connect", lab.BastionName); code == 0 || !strings.Contains(said, "login refused for ed25519") {
		t.Errorf("without the certificate: exit code %d and %q", code, said)
	}
	r.tool(nil, "ssh-keygen", "-q", "-s", authority, "-I", "laptop", "-n", lab.User, "-V", "-1h:+1h", r.door.Key+".pub")
	r.connect()
	r.listed()
}

func TestExpiredCertificateIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	authority := r.authority()
	r.openDoor(lab.SSHDOptions{Config: []string{"TrustedUserCAKeys " + authority + ".pub"}})
	r.write(r.door.AuthorizedKeys, "")
	r.tool(nil, "ssh-keygen", "-q", "-s", authority, "-I", "laptop", "-n", lab.User, "-V", "20200101000000Z:20200102000000Z", r.door.Key+".pub")
	code, said := r.run(nil, "connect", lab.BastionName)
	if want := "(expired 2020-01-02 00:00:00 UTC)"; code == 0 || !strings.Contains(said, want) {
		t.Errorf("exit code %d and %q, want %q in it", code, said, want)
	}
}

// The host is known by its authority only, and its key is of another kind.
func TestHostCertificateIsTrusted(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	authority := r.authority()
	key := filepath.Join(r.Dir, "host")
	r.tool(nil, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", key)
	r.tool(nil, "ssh-keygen", "-q", "-s", authority, "-h", "-I", "bastion", "-n", lab.BastionAddr, key+".pub")
	r.openDoor(lab.SSHDOptions{Config: []string{"HostKey " + key, "HostCertificate " + key + "-cert.pub"}})
	public, err := os.ReadFile(authority + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	r.write(r.door.KnownHosts, "@cert-authority * "+string(public))
	r.connect()
	r.listed()
}

func TestHashedKnownHostsAreRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{Port: 2222})
	r.tool(nil, "ssh-keygen", "-H", "-f", r.door.KnownHosts)
	if known, err := os.ReadFile(r.door.KnownHosts); err != nil || !strings.HasPrefix(string(known), "|1|") {
		t.Fatalf("known_hosts is %q, %v, want hashed names", known, err)
	}
	r.connect()
	r.listed()
	r.door.RotateHostKey()
	code, said := r.run(nil, "connect", lab.BastionName, "--listen", "8001")
	if want := "HOST KEY CHANGED"; code == 0 || !strings.Contains(said, want) {
		t.Errorf("with a new host key: exit code %d and %q, want %q", code, said, want)
	}
}

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

// sshd's banner is for the person; what it could do to a terminal is not.
func TestBannerIsShown(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	banner := filepath.Join(r.Dir, "banner")
	r.write(banner, "Authorized use only.\n\033[2JCall 123.\n")
	r.openDoor(lab.SSHDOptions{Config: []string{"Banner " + banner}})
	s := r.connect()
	if said := s.stderr.String(); !strings.Contains(said, "Authorized use only.\n") || !strings.Contains(said, "Call 123.\n") || strings.Contains(said, "\033") {
		t.Errorf("ddbproxy said %q, want the banner without its escape sequence", said)
	}
	r.listed()
}

// A terminal, OpenSSH's password method, and a person who mistypes once.
func TestPasswordOnATerminalLogsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{Config: []string{"PasswordAuthentication yes", "PubkeyAuthentication no"}})
	r.password("correct horse")

	// script gives the program a terminal of its own, and its own input to that.
	cmd := r.ddbproxy(nil)
	cmd.Args[len(cmd.Args)-1] = "script"
	cmd.Args = append(cmd.Args, "-qefc", "exec "+filepath.Join(programs, "ddbproxy")+" connect "+lab.BastionName, "/dev/null")
	screen := &text{}
	cmd.Stdout, cmd.Stderr = screen, screen
	keyboard, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its code is looked at below
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	question := lab.User + "@" + lab.BastionAddr + ":22's password: "
	for i, answer := range []string{"wrong", "correct horse"} {
		eventually(t, "the password is asked for", func() bool { return strings.Count(screen.String(), question) == i+1 })
		fmt.Fprintln(keyboard, answer)
	}
	eventually(t, "it is connected", func() bool { return strings.Contains(screen.String(), "Ctrl-C ends it.") })
	r.listed()
	if strings.Contains(screen.String(), "horse") {
		t.Errorf("the password was shown:\n%s", screen)
	}

	// When the tunnel breaks nobody may be there: no question, a clear error.
	r.door.KillSessions()
	eventually(t, "the client is told to log in again", func() bool {
		return strings.Contains(r.local("list-tables").stderr, "start ddbproxy connect again on a terminal")
	})
	if got := strings.Count(screen.String(), question); got != 2 {
		t.Errorf("the password was asked for %d times, want 2:\n%s", got, screen)
	}
	fmt.Fprint(keyboard, "\x03") // Ctrl-C
	<-ended
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("Ctrl-C ended it with %v, want exit code 0:\n%s", cmd.ProcessState, screen)
	}
}

// password gives the bastion's user a password.
func (r *rig) password(word string) {
	r.tb.Helper()
	hash, err := exec.Command("openssl", "passwd", "-6", word).Output()
	if err != nil {
		r.tb.Skipf("openssl makes the password: %v", err)
	}
	file := filepath.Join(r.Dir, string(lab.Bastion), "etc", "shadow")
	shadow, err := os.ReadFile(file)
	if err != nil {
		r.tb.Fatal(err)
	}
	locked, open := "\n"+lab.User+":*:", "\n"+lab.User+":"+strings.TrimSpace(string(hash))+":"
	if !strings.Contains(string(shadow), locked) {
		r.tb.Fatalf("%s has no locked user: %q", file, shadow)
	}
	// The same file, since sshd has it mounted.
	r.write(file, strings.Replace(string(shadow), locked, open, 1))
}
