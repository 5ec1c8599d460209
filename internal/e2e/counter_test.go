//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

const increments = 200

// Each increment has a counter of its own, so that afterwards DynamoDB itself
// tells which were carried out, and how often.
func TestNoWriteIsLostOrDoneTwiceWhileSessionsBreak(t *testing.T) {
	t.Parallel()
	// With an RTT there is always something on its way.
	r := newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: 20 * time.Millisecond}})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	c, table := r.gosdk(once), aws.String("counters")
	createTable(t, c, *table)

	results := make([]error, increments)
	next, progress := make(chan int), make(chan struct{}, increments)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for n := range next {
				_, results[n] = c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: table, Key: row{"pk": newRow(counter(n), "")["pk"]},
					UpdateExpression:          aws.String("ADD n :one"),
					ExpressionAttributeValues: row{":one": &types.AttributeValueMemberN{Value: "1"}},
				})
				progress <- struct{}{}
			}
		})
	}
	// The killer works beside the clients, so that they are never waiting for it
	// with nothing on its way; and lets some calls through between two strikes.
	kills, random := 0, rand.New(rand.NewPCG(3, 4))
	over := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		for calls := 1; ; calls++ {
			select {
			case <-over:
				return
			case <-progress:
			}
			if calls%15 == 0 {
				wait(t, time.Duration(random.IntN(40))*time.Millisecond)
				r.door.KillSessions()
				kills++
			}
		}
	})
	for n := range increments {
		next <- n
	}
	close(next)
	clients.Wait()
	close(over)
	killer.Wait()

	applied := r.counters(t, c, *table)
	acknowledged, unsure, unsent := 0, 0, 0
	for n, err := range results {
		got := applied[counter(n)]
		said := complaintOf(err)
		switch {
		case err == nil:
			acknowledged++
			if got != "1" {
				t.Errorf("increment %d was acknowledged and its counter is %q, want 1", n, got)
			}
		case said.code == "InternalServerError" && strings.Contains(said.message, "may or may not have happened"):
			unsure++
			if got != "" && got != "1" {
				t.Errorf("increment %d may have happened and its counter is %q, want 1 or none", n, got)
			}
		case said.code == "ServiceUnavailable" && strings.Contains(said.message, "nothing was sent"):
			unsent++
			if got != "" {
				t.Errorf("increment %d was not sent and its counter is %q, want none", n, got)
			}
		default:
			t.Errorf("increment %d: %v, want it done, maybe done or not sent", n, err)
		}
	}
	t.Logf("%d sessions killed: %d acknowledged, %d may have happened, %d not sent; %d applied", kills, acknowledged, unsure, unsent, len(applied))
	eventually(t, "AWS has counted what DynamoDB has", func() bool { return r.applied("UpdateItem") == len(applied) })
	if got := len(applied); got < acknowledged || got > acknowledged+unsure {
		t.Errorf("%d applied, want from %d to %d", got, acknowledged, acknowledged+unsure)
	}
	if got := r.aws.Seen().Ops["UpdateItem"].Received; got > increments {
		t.Errorf("AWS received %d calls, want no more than the %d that were made", got, increments)
	}
	if kills < 5 || acknowledged < increments/2 {
		t.Errorf("%d sessions killed, %d acknowledged: this was no test", kills, acknowledged)
	}
}

func counter(n int) string { return fmt.Sprintf("counter-%03d", n) }

// counters reads all counters, as DynamoDB has them.
func (r *rig) counters(t *testing.T, c *dynamodb.Client, table string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for p := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			n, _ := item["n"].(*types.AttributeValueMemberN)
			values[keyOf(item)] = n.Value
		}
	}
	return values
}
