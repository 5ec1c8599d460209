//go:build linux

package e2e

import (
	"os"
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

// openForCertificates opens the door for nobody but who has a certificate. The
// function returned makes one for the laptop's key, valid as in ssh-keygen -V.
func (r *rig) openForCertificates() (certify func(validity string)) {
	r.tb.Helper()
	authority := r.authority()
	r.openDoor(lab.SSHDOptions{Config: []string{"TrustedUserCAKeys " + authority + ".pub"}})
	r.write(r.door.AuthorizedKeys, "")
	return func(validity string) {
		r.tb.Helper()
		r.tool(nil, "ssh-keygen", "-q", "-s", authority, "-I", "laptop", "-n", lab.User, "-V", validity, r.door.Key+".pub")
	}
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

func TestCertificateOfAnAuthorityLogsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	certify := r.openForCertificates()
	if code, said := r.run(nil, "connect", lab.BastionName); code == 0 || !strings.Contains(said, "login refused for ed25519") {
		t.Errorf("without the certificate: exit code %d and %q", code, said)
	}
	certify("-1h:+1h")
	r.connect()
	r.listed()
}

func TestExpiredCertificateIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	certify := r.openForCertificates()
	certify("20200101000000Z:20200102000000Z")
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
