//go:build linux

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// syslog opens a syslog for the sessions on the bastion and returns what it hears.
func (r *rig) syslog() *text {
	r.tb.Helper()
	// Where log/syslog looks when there is no /dev/log, which the lab hides.
	path := r.door.Path("/run/syslog")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		r.tb.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		r.tb.Fatal(err)
	}
	heard := new(text)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		datagram := make([]byte, 64<<10)
		for {
			n, err := l.Read(datagram)
			if err != nil {
				return
			}
			_, _ = heard.Write(datagram[:n]) // it cannot fail
		}
	}()
	r.tb.Cleanup(func() {
		l.Close()
		<-ended
	})
	return heard
}

// The administrator sees who was where, and finds the connection in the
// developer's own log.
func TestAuditTellsWhoReachedWhat(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	installed := r.installRelay()
	policy := filepath.Join(r.Dir, "relay.toml")
	r.write(policy, "audit = true\n")
	if err := os.Chmod(policy, 0o644); err != nil {
		t.Fatal(err)
	}
	r.openDoor(lab.SSHDOptions{
		Config:     []string{"ExposeAuthInfo yes"},
		KeyOptions: `restrict,command="` + installed + " -region " + lab.Region + " -policy " + policy + `"`,
	})
	heard := r.syslog()
	s := r.connect("-v")
	r.listed()
	if code, _ := r.run(nil, "connect", lab.BastionName, "--region", "us-east-1", "--listen", "8001"); code != 8 {
		t.Errorf("another region: exit code %d, want 8", code)
	}
	s.stop(os.Interrupt)
	_, fingerprint, _ := r.ssh("ssh-keygen", "-lf", r.door.Key+".pub")
	key := strings.Fields(fingerprint)[1]
	who := ` ddbproxy-relay\[\d+\]: msg=connection user=` + lab.User + ` uid=` + strconv.Itoa(r.UID) + ` from=` + lab.LaptopAddr + `:\d+ login="?` + regexp.QuoteMeta(key) + `"? id=([A-Z0-9]+) client=\S+ `
	used := regexp.MustCompile(who + `target=` + ddbName + `:443 addr=` + lab.VPCEndpoint + `:443 up=[1-9]\d* down=[1-9]\d* ms=\d+`)
	refused := regexp.MustCompile(who + `target=dynamodb\.us-east-1\.amazonaws\.com:443 up=0 down=0 ms=\d+ refused=http_request_denied reason="`)
	eventually(t, "a line for the connection in use and one for the refused", func() bool {
		return used.MatchString(heard.String()) && refused.MatchString(heard.String())
	})
	m := used.FindStringSubmatch(heard.String())
	if m == nil || !strings.Contains(s.stderr.String(), "msg=connection id="+m[1]+" target="+ddbName+":443") {
		t.Errorf("the audit %q and the laptop's log %q have no connection in common", heard, s.stderr)
	}
	if strings.Contains(heard.String(), keyID) || strings.Contains(heard.String(), secret) {
		t.Errorf("the audit %q has the developer's keys", heard)
	}
}

func TestNoAuditNoConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{KeyOptions: `restrict,command="` + r.installRelay() + ` -audit"`})
	code, said := r.run(nil, "connect", lab.BastionName, "--carrier", "relay")
	if code != 6 {
		t.Errorf("exit code %d, want 6", code)
	}
	contains(r, said, "no audit without a syslog on the bastion (/dev/log)")
}
