//go:build linux

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// storm is a crowd of clients that write through one ddbproxy while everything
// behind it breaks, and the record of what they did.
type storm struct {
	*rig
	session *session
	table   *string
	tally   tally
	numbers [3]atomic.Int64 // of keys, by the kind of write

	mu    sync.Mutex
	calls []*stormCall
}

// stormCall is one call of a client.
type stormCall struct {
	write string // increment, claim or transaction
	key   string // of the item that it writes
	owner string // what a claim writes
	once  bool   // the client makes one attempt only
	sent  []answered
}

// Increments and transactions have an item each, so that afterwards DynamoDB
// itself tells which were carried out, and how often. Claims contend for items,
// three for each. Every attempt has its own number by the SDK that made it, so
// AWS can tell whether ddbproxy sent it twice.
func TestNoWriteIsLostOrDoneTwiceInAStorm(t *testing.T) {
	t.Parallel()
	for _, carrier := range []string{"relay", "forward"} {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			s := &storm{table: aws.String("storm")}
			// With an RTT there is always something on its way.
			s.rig = newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: 20 * time.Millisecond}}, s.tally.behind, hangUpAtTimes)
			s.openDoor(lab.SSHDOptions{})
			s.noticeSoon()
			s.session = s.connect("--carrier", carrier)
			createTable(t, s.gosdk(), *s.table)
			faults := s.rage(t, carrier)
			s.session.stop(os.Interrupt) // waits for the relays: nothing is on its way any more
			s.check(t, faults)
		})
	}
}

// hangUpAtTimes makes an AWS that does its work and hangs up before the answer,
// now and then.
func hangUpAtTimes(s *edge.Server) {
	s.Fault = func(op string, n int) edge.Action {
		if n%80 == 0 && op != "Scan" && op != "CreateTable" {
			return edge.DropAnswer
		}
		return edge.Pass
	}
}

// noticeSoon makes ssh give up a silent bastion after 3 s.
func (r *rig) noticeSoon() {
	r.tb.Helper()
	config, err := os.ReadFile(r.door.ClientConfig)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.write(r.door.ClientConfig, "ServerAliveInterval 1\nServerAliveCountMax 2\n"+string(config))
}

// rage runs the clients and the faults, and returns how many faults there were.
func (s *storm) rage(t *testing.T, carrier string) int {
	t.Helper()
	over := make(chan struct{})
	var clients sync.WaitGroup
	for _, client := range []*stormClient{
		{name: "a", sdk: s.gosdk(once, noting), once: true},
		{name: "b", sdk: s.gosdk(once, noting), once: true},
		{name: "c", sdk: s.gosdk(noting)},
	} {
		for kind := range stormWrites {
			clients.Go(func() { s.calling(t.Context(), client, kind, over) })
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	faults := s.faults(t, carrier, random)
	for _, fault := range faults {
		calm := s.tally.total() + 30 + random.IntN(60)
		eventually(t, "calls get through between two faults", func() bool { return s.tally.total() >= calm })
		wait(t, time.Duration(random.IntN(100))*time.Millisecond)
		fault()
	}
	close(over)
	clients.Wait()
	return len(faults)
}

// faults are those of a storm in a random order, but for the last one, which
// ends also what a black hole has left on the bastion.
func (s *storm) faults(t *testing.T, carrier string, random *rand.Rand) []func() {
	hole := func() {
		downs := func() int { return strings.Count(s.session.stderr.String(), "tunnel down") }
		before := downs()
		s.Uplink.BlackHole(true)
		eventually(t, "ddbproxy has noticed the black hole", func() bool { return downs() > before })
		wait(t, time.Duration(random.IntN(1000))*time.Millisecond)
		s.Uplink.BlackHole(false)
	}
	all := []func(){hole, hole}
	for range 5 {
		all = append(all, s.door.KillSessions)
	}
	if carrier == "relay" {
		for range 5 {
			all = append(all, func() { kill(t, s.relays()) })
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return append(all, s.door.KillSessions)
}

type stormClient struct {
	name string
	sdk  *dynamodb.Client
	once bool
}

// stormWrites are the kinds of writes; what they return is looked at in what
// was sent.
var stormWrites = []func(ctx context.Context, c *dynamodb.Client, table *string, call *stormCall){
	func(ctx context.Context, c *dynamodb.Client, table *string, call *stormCall) {
		call.write = "increment"
		_, _ = c.UpdateItem(ctx, addOne(table, call.key))
	},
	func(ctx context.Context, c *dynamodb.Client, table *string, call *stormCall) {
		call.write = "claim"
		_, _ = c.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: table, Item: newRow(call.key, call.owner), ConditionExpression: aws.String("attribute_not_exists(pk)"),
		})
	},
	func(ctx context.Context, c *dynamodb.Client, table *string, call *stormCall) {
		call.write = "transaction" // with a ClientRequestToken, which the SDK makes
		add := addOne(table, call.key)
		_, _ = c.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Update: &types.Update{
			TableName: table, Key: add.Key, UpdateExpression: add.UpdateExpression, ExpressionAttributeValues: add.ExpressionAttributeValues,
		}}}})
	},
}

// addOne is the increment of a counter.
func addOne(table *string, key string) *dynamodb.UpdateItemInput {
	return &dynamodb.UpdateItemInput{
		TableName: table, Key: row{"pk": newRow(key, "")["pk"]},
		UpdateExpression:          aws.String("ADD n :one"),
		ExpressionAttributeValues: row{":one": &types.AttributeValueMemberN{Value: "1"}},
	}
}

// calling makes calls of one kind, one after the other, until the storm is over.
func (s *storm) calling(ctx context.Context, client *stormClient, kind int, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		default:
		}
		n := s.numbers[kind].Add(1) - 1
		call := &stormCall{key: fmt.Sprintf("%d-%05d", kind, n), owner: fmt.Sprintf("%s-%d", client.name, n), once: client.once}
		if kind == 1 {
			call.key = fmt.Sprintf("%d-%05d", kind, n/3)
		}
		stormWrites[kind](context.WithValue(ctx, notesKey{}, &call.sent), client.sdk, s.table, call)
		s.mu.Lock()
		s.calls = append(s.calls, call)
		s.mu.Unlock()
	}
}
