//go:build linux

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// soakEnv says how long TestSoak takes, such as 30m.
const soakEnv = "DDBPROXY_SOAK"

const (
	shortSoak = 80 * time.Second // with five kinds of fault
	lingering = 40 * time.Second // of a relay behind a black hole, at most
	givenBack = 12 * time.Second // after which the memory of a rush has gone back to the system
)

// soak is a ddbproxy with a load on it that lives through one fault after
// another.
type soak struct {
	*rig
	session  *session
	gauge    gauge
	table    *string
	loads    []*load
	counters []*score // of increments
	reads    *score
	checker  *dynamodb.Client

	faults   int
	holes    []time.Time // when black holes were mended
	readings []reading
}

// Faults leave nothing behind: no descriptor, goroutine, thread or memory on the
// laptop, no process on the bastion, and counters that are what clients think.
func TestSoak(t *testing.T) {
	t.Parallel()
	length, every := shortSoak, 3*time.Second
	if given := os.Getenv(soakEnv); given != "" {
		var err error
		if length, err = time.ParseDuration(given); err != nil {
			t.Fatalf("%s: %v", soakEnv, err)
		}
		every = 10 * time.Second
	}
	s := &soak{table: aws.String("soak")}
	s.rig = newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: 20 * time.Millisecond}})
	s.openDoor(lab.SSHDOptions{})
	s.noticeSoon()
	s.session = s.connectWith([]string{traced}, "--carrier", "relay")
	s.gauge.session = s.session
	s.prepare()
	createTable(t, s.checker, *s.table)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for _, l := range s.loads {
		running.Go(func() { l.run(ctx) })
	}
	s.suffer(t, rand.New(rand.NewPCG(seed, 0)), time.Now().Add(length), every)
	stop()
	running.Wait()
	s.checkCounters(t)
	t.Log(s.line())
	// The first one is of a program that has just begun.
	for _, complaint := range growth(s.readings[min(1, len(s.readings)):]) {
		t.Errorf("%s; all readings: %+v", complaint, s.readings)
	}
	for i, c := range s.scores() {
		if acknowledged, _, _, _ := c.counts(); acknowledged < 10*len(s.readings) {
			t.Errorf("load %d: %d calls got through: this was no test", i, acknowledged)
		}
	}
}

// prepare makes three clients, each with a load of increments on a counter of
// its own and one of reads.
func (s *soak) prepare() {
	s.reads, s.checker = &score{reads: true}, s.gosdk(once)
	for i := range 3 {
		c, key := s.gosdk(once), counter(i)
		mine := new(score)
		s.counters = append(s.counters, mine)
		s.loads = append(s.loads, &load{pace: 50 * time.Millisecond, done: mine.add, call: func(ctx context.Context, _ int) error {
			_, err := c.UpdateItem(ctx, addOne(s.table, key))
			return err
		}}, &load{pace: 50 * time.Millisecond, done: s.reads.add, call: func(ctx context.Context, _ int) error {
			_, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: s.table, Key: addOne(s.table, key).Key})
			return err
		}})
	}
}

func counter(n int) string { return fmt.Sprintf("counter-%03d", n) }

// suffer makes a fault at each interval until the end, all kinds in turn but in
// a random order, and takes a reading after each. Once a minute it looks at the
// counters and prints a line.
func (s *soak) suffer(t *testing.T, random *rand.Rand, end time.Time, every time.Duration) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	minute := time.Now().Add(time.Minute)
	var kinds []func()
	for time.Now().Before(end) && !t.Failed() {
		if len(kinds) == 0 {
			kinds = []func(){s.door.KillSessions, func() { kill(t, s.relays()) }, func() { s.hole(t) }, func() { s.reset() }, func() { s.door.Kill(); s.door.Start() }}
			random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return
		}
		wait(t, time.Duration(random.IntN(500))*time.Millisecond)
		kinds[0]()
		kinds = kinds[1:]
		s.faults++
		s.reading(t)
		if time.Now().After(minute) {
			minute = minute.Add(time.Minute)
			s.checkCounters(t)
			t.Log(s.line())
		}
	}
}

func (s *soak) downs() int { return strings.Count(s.session.stderr.String(), "tunnel down") }

// hole is a black hole that ddbproxy notices.
func (s *soak) hole(t *testing.T) {
	t.Helper()
	before := s.downs()
	s.Uplink.BlackHole(true)
	eventually(t, "ddbproxy has noticed the black hole", func() bool { s.gauge.follow(); return s.downs() > before })
	s.Uplink.BlackHole(false)
	s.holes = append(s.holes, time.Now())
}

// reading is taken without a load and after one more fault, a connection that is
// reset, once all is calm: what is left is what ddbproxy keeps, not its pool. The
// memory of the process until then is the most that it ever needed.
func (s *soak) reading(t *testing.T) {
	t.Helper()
	s.checkUp(t)
	for _, l := range s.loads {
		l.pause()
		defer l.resume()
	}
	before := s.downs()
	s.reset()
	s.faults++
	eventually(t, "ddbproxy has noticed the reset", func() bool { s.gauge.follow(); return s.downs() > before })
	s.checkUp(t)
	wait(t, givenBack)
	s.readings = append(s.readings, s.gauge.read(t, s.faults))
	young := 0
	for _, mended := range s.holes {
		if time.Since(mended) < lingering {
			young++
		}
	}
	// A connection has two processes of sshd, the daemon is one.
	eventually(t, "nothing is left on the bastion but the relay in use and those behind black holes", func() bool {
		return len(s.relays()) <= 1+young && len(s.onBastion("sshd")) <= 1+2*(1+young)
	})
}

// reset ends the laptop's connections to the bastion as a firewall may.
func (r *rig) reset() {
	r.tb.Helper()
	r.tool(nil, "ss", "-K", "dst", lab.BastionAddr, "dport", "=", ":22")
}

// checkUp waits until a call gets through.
func (s *soak) checkUp(t *testing.T) {
	t.Helper()
	if _, err := s.checker.ListTables(t.Context(), nil); err != nil {
		t.Errorf("after fault %d: %v", s.faults, err)
	}
}

// checkCounters compares the counters with what their clients know.
func (s *soak) checkCounters(t *testing.T) {
	t.Helper()
	for _, l := range s.loads {
		l.pause()
		defer l.resume()
	}
	for i, mine := range s.counters {
		acknowledged, unsure, _, odd := mine.counts()
		got, err := s.checker.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: s.table, Key: addOne(s.table, counter(i)).Key, ConsistentRead: aws.Bool(true)})
		if err != nil || odd != nil {
			t.Errorf("%s: %v, %v", counter(i), err, odd)
			continue
		}
		value, _ := got.Item["n"].(*types.AttributeValueMemberN)
		if n, err := strconv.Atoi(value.Value); err != nil || n < acknowledged || n > acknowledged+unsure {
			t.Errorf("%s is at %s, want from %d (acknowledged) to %d more (may have happened)", counter(i), value.Value, acknowledged, unsure)
		}
	}
	if _, unsure, _, odd := s.reads.counts(); unsure > 0 || odd != nil {
		t.Errorf("reads: %d unsure, %v", unsure, odd)
	}
}

func (s *soak) scores() []*score { return append([]*score{s.reads}, s.counters...) }

// line tells how far it is.
func (s *soak) line() string {
	acknowledged, unsure, refused := 0, 0, 0
	for _, c := range s.scores() {
		a, u, r, _ := c.counts()
		acknowledged, unsure, refused = acknowledged+a, unsure+u, refused+r
	}
	last := s.readings[max(len(s.readings)-1, 0):]
	return fmt.Sprintf("%d faults; %d calls done, %d may have happened, %d refused; last reading %+v", s.faults, acknowledged, unsure, refused, last)
}
