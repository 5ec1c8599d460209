//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/instances"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

const instanceID = "i-0e2e0e2e0e2e0e2e0"

// authorizedKeys is what sshd on an instance runs to learn the keys that were
// pushed for a user: here they are in a file, each behind its time in seconds.
// sshd wants a program that only root can change, which sh is.
const authorizedKeys = `while read -r pushed user key; do
	[ "$user" = "$2" ] && [ $(($(date +%s) - pushed)) -lt 60 ] && echo "$key"
done <"$1"
exit 0
`

// becomeInstance makes the bastion an instance that lets pushed keys in and no
// others. EC2 goes by clock, nil for the right time. It returns EC2 and the environment in which ddbproxy finds it.
func (r *rig) becomeInstance(clock func() time.Time) (*instances.Server, []string) {
	r.tb.Helper()
	keys, script := filepath.Join(r.Dir, "pushed"), filepath.Join(r.Dir, "authorized-keys.sh")
	r.write(keys, "")
	r.write(script, authorizedKeys)
	r.openDoor(lab.SSHDOptions{Config: []string{
		"AuthorizedKeysCommand /bin/sh " + script + " " + keys + " %u", "AuthorizedKeysCommandUser root"}})
	r.write(r.door.AuthorizedKeys, "")
	ec2 := &instances.Server{Region: lab.Region, KeyID: keyID, Secret: secret, Now: clock, OnPush: func(p instances.Pushed) {
		f, err := os.OpenFile(keys, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = fmt.Fprintln(f, p.At.Unix(), p.User, p.Key)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			r.tb.Errorf("push: %v", err)
		}
	}}
	ec2.Put(instanceID, instances.Instance{State: "running", PublicIP: lab.BastionAddr, PrivateIP: lab.BastionVPC})
	ln, err := r.Listen(lab.AWS, "tcp", lab.PublicAddr+":8080")
	if err != nil {
		r.tb.Fatal(err)
	}
	server := &http.Server{Handler: ec2}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	r.tb.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	// The host key is known by the id, and nothing else of the bastion is.
	known, err := os.ReadFile(r.door.KnownHosts)
	if err != nil {
		r.tb.Fatal(err)
	}
	fields := strings.Fields(string(known))
	r.write(r.door.KnownHosts, instanceID+" "+strings.Join(fields[1:3], " ")+"\n")
	r.configure("Host *", "UserKnownHostsFile "+r.door.KnownHosts, "GlobalKnownHostsFile /dev/null", "StrictHostKeyChecking yes")
	url := "http://" + lab.PublicAddr + ":8080"
	return ec2, []string{"AWS_ENDPOINT_URL_EC2=" + url, "AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT=" + url,
		// What sends the user's tools to ddbproxy must not send ddbproxy there.
		"HTTP_PROXY=" + localURL, "AWS_ENDPOINT_URL=" + localURL}
}

var acceptedKey = regexp.MustCompile(`Accepted publickey for dev from \S+ port \d+ ssh2: ED25519 (\S+)`)

// Everything the laptop has is AWS credentials and an instance's id.
func TestInstanceConnectLogsInByAFreshKeyEachTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ec2, env := r.becomeInstance(nil)
	s := r.connectTo(env, "--instance-connect", lab.User+"@"+instanceID, "-v")
	r.listed()
	r.door.KillSessions()
	eventually(t, "ddbproxy has noticed", func() bool { return strings.Contains(s.stderr.String(), "tunnel down") })
	r.listed()
	pushes := ec2.Pushes()
	if len(pushes) != 2 || pushes[0].Key == pushes[1].Key {
		t.Errorf("%d keys were pushed: %v, want two different ones", len(pushes), pushes)
	}
	used := acceptedKey.FindAllStringSubmatch(r.door.Log(), -1)
	if len(used) != 2 || used[0][1] == used[1][1] {
		t.Errorf("sshd let in %v, want two different keys:\n%s", used, r.door.Log())
	}
	for _, private := range []string{"PRIVATE KEY", secret} {
		if strings.Contains(s.stderr.String(), private) {
			t.Errorf("ddbproxy has shown %q", private)
		}
	}
}

// A stopped instance comes back with another address; here it is another
// address of the same one.
func TestInstanceIsFoundAgainAtAnotherAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ec2, env := r.becomeInstance(nil)
	s := r.connectTo(env, "--instance-connect", lab.User+"@"+instanceID)
	const other = "192.0.2.9" // on the way to the bastion too
	for ns, args := range map[lab.NS][]string{
		lab.Bastion: {"address", "add", other + "/32", "dev", "lo"},
		lab.Laptop:  {"route", "add", other + "/32", "via", lab.BastionAddr},
	} {
		if out, err := r.Command(t.Context(), ns, "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip: %v\n%s", err, out)
		}
	}
	ec2.Put(instanceID, instances.Instance{State: "running", PublicIP: other})
	r.door.KillSessions()
	eventually(t, "ddbproxy has noticed", func() bool { return strings.Contains(s.stderr.String(), "tunnel down") })
	r.listed()
	if got, want := r.door.Log(), " on "+other+" port 22"; !strings.Contains(got, want) {
		t.Errorf("sshd was not reached%s:\n%s", want, got)
	}
}

func TestPushedKeyThatIsTooOldIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, env := r.becomeInstance(func() time.Time { return time.Now().Add(-instances.Valid) })
	code, said := r.run(env, "connect", "--instance-connect", lab.User+"@"+instanceID)
	if want := " from EC2 Instance Connect"; code != 5 || !strings.Contains(said, want) {
		t.Errorf("exit code %d and %q, want 5 and %q in it", code, said, want)
	}
}
