//go:build linux

package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// A call made while the tunnel is gone is held, and its client notices nothing.
func TestCallsAreHeldWhileTheTunnelComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	for _, tt := range []struct {
		name string
		cut  func()
		mend func()
	}{
		{"sessions killed", r.door.KillSessions, func() {}},
		{"relay killed", func() { kill(t, r.relays()) }, func() {}},
		{"daemon away", r.door.Kill, r.door.Start},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := strings.Count(s.stderr.String(), "tunnel down")
			tt.cut()
			eventually(t, "ddbproxy has noticed", func() bool { return strings.Count(s.stderr.String(), "tunnel down") > before })
			// AWS_MAX_ATTEMPTS is 1: it is ddbproxy that waits.
			calls := make(chan outcome, 2)
			script := lab.ClientScript(t, "boto3_story.py")
			go func() {
				calls <- r.cli([]string{onlyOnce}, "list-tables", "--output", "text", "--endpoint-url", localURL)
			}()
			go func() {
				calls <- r.client([]string{onlyOnce, "AWS_ENDPOINT_URL_DYNAMODB=" + localURL}, script, "list")
			}()
			tt.mend()
			for range 2 {
				if got := <-calls; got.code != 0 {
					t.Errorf("%+v, want it held and answered", got)
				}
			}
		})
	}
}

// A read that broke on its way is sent again by ddbproxy itself: the client, which
// tries once only, sees no error.
func TestReadsSurviveSessionsThatBreakUnderThem(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: 20 * time.Millisecond}})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	c, table := r.gosdk(once), aws.String("reads")
	createTable(t, c, *table)
	if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: newRow("a", "first")}); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 40 {
				got, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: row{"pk": newRow("a", "")["pk"]}})
				if err != nil || textOf(got.Item) != "first" {
					t.Errorf("GetItem: %v, want it answered", err)
				}
			}
		})
	}
	for n := range 3 {
		eventually(t, "some reads are done", func() bool { return r.applied("GetItem") >= 40*n+10 })
		r.door.KillSessions()
		eventually(t, "ddbproxy has noticed", func() bool { return strings.Count(s.stderr.String(), "tunnel down") > n })
	}
	readers.Wait()
}

// A network that swallows everything is the laptop's that moves, and no
// connection says so.
func TestTunnelOutlivesABlackHole(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	r.Uplink.BlackHole(true)
	wait(t, 20*time.Second)
	conn := r.dialLocal(t) // a closed port would be another error for each client
	conn.Close()
	// sshd would keep its session for hours: the relay notices by itself.
	eventually(t, "the relay that was left alone ends", func() bool { return len(r.relays()) == 0 })
	r.Uplink.BlackHole(false)
	eventually(t, "calls get through again", func() bool { return r.local("list-tables").code == 0 })
	select {
	case <-s.ended:
		t.Error("ddbproxy has ended, want it to go on")
	default:
	}
}

// A laptop that changes its network has another address: the kernel tells, and
// nothing waits for keepalives that the old one would answer no more.
func TestAddressThatIsLostIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	r.listed()
	address := func(change ...string) {
		r.tool(nil, "ip", append([]string{"addr"}, append(change, "dev", "uplink")...)...)
	}
	address("del", lab.LaptopAddr, "peer", lab.BastionAddr)
	eventually(t, "ddbproxy has noticed", func() bool {
		return strings.Contains(s.stderr.String(), "this machine lost the address that the connection came from")
	})
	address("add", lab.LaptopAddr, "peer", lab.BastionAddr)
	r.listed()
}

// wait lets time pass for what has no event, unless the test is over.
func wait(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
