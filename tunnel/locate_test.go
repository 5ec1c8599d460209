//go:build linux

package tunnel

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// located is a client of Host box, whose address is found, and whose host key
// known_hosts has under that name only.
func located(t *testing.T, sc *scene, lines ...string) (*Client, *int) {
	t.Helper()
	host, port, _ := strings.Cut(sc.addr, ":")
	c := sc.client(t)
	configure(t, c, append([]string{"Host box", "Port " + port, "IdentityFile " + sc.key, "UserKnownHostsFile " + sc.knownHosts}, lines...)...)
	line := "box " + string(ssh.MarshalAuthorizedKey(sc.bastion.HostKey.PublicKey()))
	if err := os.WriteFile(sc.knownHosts, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Destination = "dev@box"
	asked := new(int)
	c.Locate = func(context.Context) (Location, error) {
		*asked++
		return Location{Address: host}, nil
	}
	return c, asked
}

func TestDestinationIsLocatedAndKnownByItsName(t *testing.T) {
	sc := newScene(t)
	c, asked := located(t, sc)
	start(t, c)
	if got, want := c.Status().Server, "dev@"+sc.addr; got != want {
		t.Errorf("connected to %q, want %q", got, want)
	}
	if *asked != 1 {
		t.Errorf("its address was asked for %d times, want 1", *asked)
	}
}

func TestConfigurationThatTellsTheWayIsNotAskedAround(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DDBPROXY_TEST_CARRY", "1")
	t.Setenv("SHELL", "/bin/sh")
	for _, way := range []string{"HostName 127.0.0.1\nHostKeyAlias box", "HostKeyAlias box\nProxyCommand " + self + " ADDR"} {
		sc := newScene(t)
		c, asked := located(t, sc, strings.ReplaceAll(way, "ADDR", sc.addr))
		start(t, c)
		if c.Close(); *asked != 0 {
			t.Errorf("%s: its address was asked for %d times, want 0", way, *asked)
		}
	}
}

func TestWhereADestinationIsNotIsTold(t *testing.T) {
	sc := newScene(t)
	c, _ := located(t, sc)
	c.Locate = func(context.Context) (Location, error) {
		return Location{Address: "255.255.255.255", Hint: "go by boat"}, nil
	}
	if err := c.Start(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "; go by boat") {
		t.Errorf("error %v, want the location's hint", err)
	}
	c.Locate = func(context.Context) (Location, error) { return Location{}, errors.New("moved away") }
	if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "dev@box:") || !strings.Contains(err.Error(), "find its address: moved away") {
		t.Errorf("error %v, want it to say what was not found", err)
	}
}
