//go:build linux

package e2e

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// Who logs in several times has no more connections for it.
func TestConnectionsAreThoseOfTheAccount(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	policy := filepath.Join(r.Dir, "relay.toml")
	r.write(policy, "connections = 3\n")
	if err := os.Chmod(policy, 0o644); err != nil {
		t.Fatal(err)
	}
	r.openDoor(lab.SSHDOptions{KeyOptions: `restrict,command="` + r.installRelay() + " -region " + lab.Region + " -policy " + policy + `"`})
	one, other := r.speak(t, ""), r.speak(t, "")
	dial := func(c *relay.Client) (net.Conn, error) { return c.DialContext(t.Context(), "tcp", ddbName+":443") }
	var open []net.Conn
	for _, c := range []*relay.Client{one, one, other} {
		conn, err := dial(c)
		if err != nil {
			t.Fatalf("connection %d: %v", len(open)+1, err)
		}
		defer conn.Close()
		open = append(open, conn)
	}
	for name, c := range map[string]*relay.Client{"one": one, "other": other} {
		_, err := dial(c)
		var refused *relay.Error
		if !errors.As(err, &refused) || refused.Kind != relay.KindLimit {
			t.Errorf("a fourth connection by the %s relay: %v, want it refused", name, err)
		}
	}
	open[0].Close()
	eventually(t, "there is room again", func() bool {
		conn, err := dial(other)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}
