//go:build linux

package e2e

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// bulk reads a large item sixteen times at the same moment, which is more than
// the window of an ssh channel.
type bulk struct {
	client *dynamodb.Client
	item   row
}

func (r *rig) newBulk(t *testing.T) *bulk {
	t.Helper()
	var text strings.Builder // that no compression makes smaller
	for text.Len() < 300_000 {
		text.WriteString(rand.Text())
	}
	b := &bulk{r.gosdk(), newRow("a", text.String())}
	createTable(t, b.client, "bulk")
	if _, err := b.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("bulk"), Item: b.item}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bulk) read(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			got, err := b.client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("bulk"), Key: row{"pk": b.item["pk"]}})
			if err != nil {
				t.Error(err)
			} else if textOf(got.Item) != textOf(b.item) {
				t.Error("the item is not what was put")
			}
		})
	}
	all.Wait()
}

// A far bastion and much to carry: one channel's window is the limit then, and
// further relays are started as far as sshd lets them.
func TestBulkOverADistanceTakesFurtherChannels(t *testing.T) {
	t.Parallel()
	for sessions, relays := range map[string]int{"MaxSessions 10": 4, "MaxSessions 2": 2, "MaxSessions 1": 1} {
		t.Run(sessions, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: 150 * time.Millisecond}})
			r.openDoor(lab.SSHDOptions{Config: []string{sessions}})
			s := r.connect("-v")
			b := r.newBulk(t)
			eventually(t, "further relays were asked for", func() bool {
				b.read(t)
				return len(r.relays()) == 4 || strings.Contains(s.stderr.String(), "no further relay")
			})
			b.read(t)
			if n := len(r.relays()); n != relays {
				t.Errorf("%d relays on the bastion, want %d", n, relays)
			}
			s.stayedUp(t)
		})
	}
}

// Further relays that are killed take nothing along but reads, which are sent
// again.
func TestFurtherRelaysAreKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: 150 * time.Millisecond}})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect("-v")
	b := r.newBulk(t)
	eventually(t, "further relays run", func() bool { b.read(t); return len(r.relays()) == 4 })
	all := r.relays()
	slices.Sort(all)
	kill(t, all[1:])
	b.read(t)
	s.stayedUp(t)
}

// stayedUp checks that the session has not been replaced.
func (s *session) stayedUp(t *testing.T) {
	t.Helper()
	if said := fmt.Sprint(s.stderr); strings.Contains(said, "tunnel down") {
		t.Errorf("the tunnel went down:\n%s", said)
	}
}
