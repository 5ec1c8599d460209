//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// both configures the fleet's servers as two hosts.
func (f *fleet) both(t *testing.T) {
	t.Helper()
	f.know(t, f.west, f.east)
	file := filepath.Join(f.Home, ".ssh", "config")
	config, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(config), "User ") // what both have in common
	f.write(file, strings.Join([]string{"Host west", "HostName " + lab.BastionAddr, "Host east", "HostName " + f.eastAddr, "Host *", "HostKeyAlias fleet", "User " + rest}, "\n"))
}

// inUse is the bastion that ddbproxy status tells to be in use; "" for none.
func (r *rig) inUse(t *testing.T) string {
	t.Helper()
	cmd := r.ddbproxy(nil, "status", "--json")
	out, err := cmd.Output()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	var sessions []struct {
		Bastions []struct {
			Destination string
			Up          bool
			InUse       bool `json:"in_use"`
		}
	}
	if err := json.Unmarshal(out, &sessions); err != nil || len(sessions) != 1 {
		t.Fatalf("status: %v in %q", err, out)
	}
	used, up := "", 0
	for _, b := range sessions[0].Bastions {
		if b.Up {
			up++
		}
		if b.InUse {
			used = b.Destination
		}
	}
	return fmt.Sprintf("%s of %d", used, up)
}

// The one that stands by is logged in already, and the first has its work back
// when it is well again.
func TestAnotherBastionTakesOver(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.both(t)
	s := f.connectTo(nil, "west", "east")
	eventually(t, "both are up and the first is used", func() bool { return f.inUse(t) == "west of 2" })
	f.listed()

	f.west.Kill()
	f.listed()
	if got := f.inUse(t); got != "east of 1" {
		t.Errorf("in use: %s, want east of 1", got)
	}
	if got := [2]int{logins(f.west), logins(f.east)}; got != [2]int{1, 1} {
		t.Errorf("logins to west and east = %v, want one to each", got)
	}
	if want := "another bastion is taken"; !strings.Contains(s.stderr.String(), want) {
		t.Errorf("ddbproxy said\n%s\nwant %q", s.stderr, want)
	}
	f.west.Start()
	eventually(t, "the first is up again", func() bool { return strings.HasSuffix(f.inUse(t), " of 2") })
	eventually(t, "the first is used again", func() bool { return f.inUse(t) == "west of 2" })
	f.listed()
}

// No RST comes from an address that is gone: keepalives notice it.
func TestAnotherBastionTakesOverForOneThatIsSilent(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.both(t)
	f.connectTo(nil, "east", "west")
	eventually(t, "both are up and the first is used", func() bool { return f.inUse(t) == "east of 2" })
	f.listed()
	f.dropEast(t)
	f.listed() // held until then
	eventually(t, "the other is used", func() bool { return f.inUse(t) == "west of 1" })
	f.addEast(t) // for the end: its relay hears of it
}

func TestRelayThatWasKilledNeedsNoLogin(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	for n := range 2 {
		old := r.relays()
		kill(t, old)
		eventually(t, "ddbproxy has noticed", func() bool { return strings.Count(s.stderr.String(), "the relay on the bastion ended") == n+1 })
		r.listed()
	}
	if got := logins(r.door); got != 1 {
		t.Errorf("%d logins, want 1", got)
	}
}

func TestSSHCommandReachesTheBastion(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect("--ssh-command", "ssh -o ServerAliveInterval=5", "-v")
	r.listed()
	if want := byUpload; !strings.Contains(s.stderr.String(), want) {
		t.Errorf("ddbproxy said\n%s\nwant %q: the relay goes by the command too", s.stderr, want)
	}
	r.door.KillSessions()
	eventually(t, "ddbproxy has noticed", func() bool { return strings.Contains(s.stderr.String(), "tunnel down") })
	r.listed()
	r.Uplink.BlackHole(true)
	wait(t, 16*time.Second)
	r.Uplink.BlackHole(false)
	r.listed()
}

// An ssh that has to ask may do so while ddbproxy starts; and it leaves Ctrl-C
// to ddbproxy, which drains.
func TestSSHCommandAsksOnTheTerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{Config: []string{"PasswordAuthentication yes", "PubkeyAuthentication no"}})
	r.password("correct horse")
	at := r.terminal("--ssh-command", "ssh", "--carrier", "relay")
	question := lab.User + "@" + lab.BastionAddr + "'s password: "
	for n := range 3 { // it looks for a relay, uploads one and starts it
		eventually(t, "ssh asks", func() bool { return strings.Count(at.screen.String(), question) == n+1 })
		fmt.Fprintln(at.keyboard, "correct horse")
	}
	eventually(t, "it is connected", func() bool { return strings.Contains(at.screen.String(), "Ctrl-C ends it.") })
	r.listed()

	// Later nobody is asked, and ssh is not left waiting for the terminal.
	r.door.KillSessions()
	eventually(t, "a login is said to be needed", func() bool {
		told, _ := r.ddbproxy(nil, "status").Output()
		return strings.Contains(string(told), ", needs you\n") && strings.Contains(string(told), "Permission denied")
	})
	if got := strings.Count(at.screen.String(), question); got != 3 {
		t.Errorf("the password was asked for %d times, want 3:\n%s", got, at.screen)
	}
	at.interrupt()
}

func TestSSHCommandErrorsHaveExitCodes(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{Config: []string{"PubkeyAuthentication no"}})
	for _, tt := range []struct {
		command string
		code    int
		want    string
	}{
		{"ssh", 5, "Permission denied"},
		{"ssh -p 1", 3, "Connection refused"},
		{"ssh -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes", 4, "Host key verification failed."},
		{"shh", 2, "shh: not found"},
	} {
		r.refuses(t, nil, []string{lab.BastionName, "--ssh-command", tt.command}, tt.code, tt.want)
	}
}
