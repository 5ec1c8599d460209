package tunnel

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	up := func(rtt time.Duration) option { return option{up: true, well: true, proven: true, rtt: rtt} }
	down := option{well: true, proven: true}
	sick := option{up: true, proven: true, rtt: 5 * ms}
	fresh := func(rtt time.Duration) option { return option{up: true, well: true, rtt: rtt} }
	for _, tt := range []struct {
		name    string
		options []option
		present int
		want    int
	}{
		{"all down", []option{down, down}, 0, -1},
		{"the first of equals", []option{up(20 * ms), up(20 * ms)}, -1, 0},
		{"a little nearer is no reason", []option{up(20 * ms), up(15 * ms)}, -1, 0},
		{"much nearer is", []option{up(150 * ms), up(15 * ms)}, -1, 1},
		{"the one that is up", []option{down, up(90 * ms)}, 0, 1},
		{"back to the first", []option{up(20 * ms), up(20 * ms)}, 1, 0},
		{"not before it is proven", []option{fresh(20 * ms), up(20 * ms)}, 1, 1},
		{"unless the other is down", []option{fresh(20 * ms), down}, 1, 0},
		{"not to and fro at the border", []option{up(30 * ms), up(15 * ms)}, 0, 0},
		{"nor from the other side", []option{up(30 * ms), up(15 * ms)}, 1, 1},
		{"who cannot reach AWS comes last", []option{sick, up(90 * ms)}, 0, 1},
		{"but before nobody", []option{sick, down}, 0, 0},
		{"distance not known yet", []option{up(0), up(20 * ms)}, -1, 0},
		{"at the start", []option{fresh(0), fresh(0)}, -1, 0},
		{"one only", []option{fresh(200 * ms)}, 0, 0},
	} {
		if got := choose(tt.options, tt.present); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestBastionThatCannotReachAWSIsLeftAloneEverLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &member{Client: &Client{}}
		unreached := &relay.Error{Kind: relay.KindTimeout, Target: target}
		for _, want := range []time.Duration{minSick, 2 * minSick, 4 * minSick, 8 * minSick, 16 * minSick, maxSick, maxSick} {
			if !m.blame(target, unreached) {
				t.Fatal("a timeout of the relay's dial is not blamed on the bastion")
			}
			began := time.Now()
			for !m.option(target, time.Now(), 0).well {
				time.Sleep(time.Second) // of synctest's clock
			}
			if got := time.Since(began); got < want || got > want+time.Second {
				t.Errorf("left alone for %v, want %v", got, want)
			}
		}
		if !m.option("other:443", time.Now(), 0).well {
			t.Error("one target that is not reached counts for another")
		}
		m.praise(target)
		m.blame(target, unreached)
		if m.troubles[target].spell != minSick {
			t.Errorf("after it was well: %v, want %v", m.troubles[target].spell, minSick)
		}
		for _, err := range []error{nil, relay.ErrClosed, errors.New("closed"), &Error{Kind: KindUnreachable}} {
			if m.blame(target, err) {
				t.Errorf("%v is blamed on what lies behind the bastion", err)
			}
		}
	})
}
