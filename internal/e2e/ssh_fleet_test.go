//go:build linux

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// fleet is two servers behind one name, each with its host key and its home.
type fleet struct {
	*rig
	east, west *lab.SSHD
	eastAddr   string
}

// newFleet starts both; the laptop's name for them lists west first. The lines
// are for the sshd_config of one or the other.
func newFleet(t *testing.T, config func(name, addr string) []string) *fleet {
	t.Helper()
	f := &fleet{rig: newRig(t, lab.Config{}), eastAddr: "192.0.2.9"}
	f.addEast(t)
	f.tool(nil, "ip", "route", "add", f.eastAddr, "dev", "uplink")
	open := func(name, addr string) *lab.SSHD {
		options := lab.SSHDOptions{Name: name, Address: addr, HomeMount: "size=64m"}
		if config != nil {
			options.Config = config(name, addr)
		}
		f.openDoor(options)
		if err := f.AddHost(lab.Laptop, addr, "fleet"); err != nil {
			t.Fatal(err)
		}
		return f.door
	}
	f.west = open("west", lab.BastionAddr)
	f.east = open("east", f.eastAddr)
	key, err := os.ReadFile(f.east.AuthorizedKeys) // one key for both
	if err != nil {
		t.Fatal(err)
	}
	f.write(f.west.AuthorizedKeys, string(key))
	f.write(filepath.Join(f.Home, ".ssh", "config"), strings.Join([]string{
		"Host " + lab.BastionName, "HostName fleet", "User " + lab.User, "IdentityFile " + f.east.Key, "ConnectTimeout 2",
		"ServerAliveInterval 2", "ServerAliveCountMax 1", "StrictHostKeyChecking yes", "GlobalKnownHostsFile /dev/null", "",
	}, "\n"))
	return f
}

// addEast gives the bastion the second address, and takes it away again: then
// nothing answers there.
func (f *fleet) addEast(t *testing.T)  { f.address(t, "add") }
func (f *fleet) dropEast(t *testing.T) { f.address(t, "del") }

func (f *fleet) address(t *testing.T, change string) {
	t.Helper()
	if out, err := f.Command(t.Context(), lab.Bastion, "ip", "addr", change, f.eastAddr+"/32", "dev", "uplink").CombinedOutput(); err != nil {
		t.Fatalf("ip addr %s: %v\n%s", change, err, out)
	}
}

// know writes known_hosts: the fleet's name with the keys of these servers.
func (f *fleet) know(t *testing.T, doors ...*lab.SSHD) {
	t.Helper()
	var known strings.Builder
	for _, door := range doors {
		lines, err := os.ReadFile(door.KnownHosts)
		if err != nil {
			t.Fatal(err)
		}
		_, key, _ := strings.Cut(string(lines), " ")
		known.WriteString("fleet " + key)
	}
	f.write(filepath.Join(f.Home, ".ssh", "known_hosts"), known.String())
}

// logins is how often a server has let somebody in.
func logins(door *lab.SSHD) int { return strings.Count(door.Log(), "Accepted publickey for ") }

func TestFleetBehindOneNameFailsOver(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.know(t, f.west, f.east)
	s := f.connect("-v")
	f.listed()
	if got := [2]int{logins(f.west), logins(f.east)}; got != [2]int{1, 0} {
		t.Fatalf("logins to west and east = %v, want west's alone", got)
	}

	f.west.Kill() // what is sent there now is refused
	f.listed()
	if logins(f.east) != 1 || strings.Count(s.stderr.String(), byUpload) != 2 {
		t.Errorf("%d logins to east, want 1 and a second upload", logins(f.east))
	}

	f.west.Start()
	f.dropEast(t) // what is sent there now is lost
	f.listed()
	if logins(f.west) != 2 {
		t.Errorf("%d logins to west, want 2", logins(f.west))
	}

	// West's place takes connections and says nothing.
	f.addEast(t)
	f.west.Kill()
	deaf := f.deaf(t)
	f.listed()
	if logins(f.east) != 2 {
		t.Errorf("%d logins to east, want 2", logins(f.east))
	}
	f.east.KillSessions() // west, the first by its name, is not asked again
	f.listed()
	if logins(f.east) != 3 || strings.Count(s.stderr.String(), "no answer for 2 s") > 1 {
		t.Errorf("%d logins to east, want 3 without a wait for west:\n%s", logins(f.east), s.stderr)
	}
	deaf.Close()
}

// deaf listens in west's place, so that the kernel takes connections.
func (f *fleet) deaf(t *testing.T) net.Listener {
	t.Helper()
	l, err := f.Listen(lab.Bastion, "tcp", lab.BastionAddr+":22")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// At the start there is nothing to remember yet.
func TestFleetWhoseFirstServerHangsIsReached(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.know(t, f.west, f.east)
	f.west.Kill()
	f.deaf(t)
	f.connect()
	f.listed()
}

// A server that shows a key which is not known is refused although it may be
// one of them: the text says how to go on.
func TestFleetWithOneKnownKeyIsExplained(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.know(t, f.west)
	s := f.connect()
	f.listed()
	s.stop(os.Interrupt)
	f.west.Kill()
	f.refuses(t, nil, []string{lab.BastionName}, 4, "HOST KEY CHANGED: the server at "+f.eastAddr+":22 shows ed25519 SHA256:",
		"its name has several addresses because it is a fleet's: add this key to that file too, or trust the fleet's authority by a @cert-authority line")
}

func TestFleetIsKnownByItsAuthority(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := filepath.Join(dir, "authority")
	keygen := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", args...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	keygen("-q", "-t", "ed25519", "-N", "", "-f", authority)
	f := newFleet(t, func(name, addr string) []string {
		key := filepath.Join(dir, name)
		keygen("-q", "-t", "ed25519", "-N", "", "-f", key)
		keygen("-q", "-s", authority, "-h", "-I", name, "-n", "fleet", key+".pub")
		return []string{"HostKey " + key, "HostCertificate " + key + "-cert.pub"}
	})
	public, err := os.ReadFile(authority + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	f.write(filepath.Join(f.Home, ".ssh", "known_hosts"), "@cert-authority fleet "+string(public))
	f.connect()
	f.listed()
	f.west.Kill()
	f.listed()
	if got := [2]int{logins(f.west), logins(f.east)}; got != [2]int{1, 1} {
		t.Errorf("logins to west and east = %v, want one each", got)
	}
}
