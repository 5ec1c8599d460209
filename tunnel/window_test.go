package tunnel

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestFlowIsFullWhenMostOfAWindowPassesInARoundTrip(t *testing.T) {
	const rtt = 100 * time.Millisecond
	start := time.Now()
	for _, tc := range []struct {
		name   string
		rtt    time.Duration
		pieces int // of 64 KiB
		every  time.Duration
		want   bool
	}{
		{"a window a round trip", rtt, 64, rtt / 32, true},
		{"half of it", rtt, 64, rtt / 16, false},
		{"a burst of less", rtt, 20, 0, false},
		{"a burst of a window", rtt, 32, 0, true},
		{"a thin link behind its queue", rtt, 400, rtt / 4, false},
		{"distance unknown", 0, 64, 0, false},
	} {
		var f flow
		full := false
		for i := range tc.pieces {
			full = f.fills(channelWindow, 64<<10, start.Add(time.Duration(i)*tc.every), tc.rtt) || full
		}
		if full != tc.want {
			t.Errorf("%s: full = %v, want %v", tc.name, full, tc.want)
		}
	}
}

// distant is a client whose bastion seems to be rtt away.
func distant(t *testing.T, c *Client, rtt time.Duration) *session {
	t.Helper()
	start(t, c)
	s := c.current
	until(t, func() bool { return s.distance() > 0 })
	s.link.rtt.Store(int64(rtt))
	return s
}

// spring is a program that prints as much as it is asked for, and a reader that
// knows what comes.
type spring struct {
	remote
	ask  chan int
	done chan struct{} // told when all that was asked for is under way
	want *rand.ChaCha8
}

// newSpring starts one on a bastion that is a round trip away.
func newSpring(t *testing.T, rtt time.Duration) *spring {
	t.Helper()
	sc := newScene(t)
	relays := &programs{scene: sc}
	sp := &spring{ask: make(chan int), done: make(chan struct{}, 1), want: rand.NewChaCha8([32]byte{})}
	sc.bastion.Exec = func(command string, ch ssh.Channel) int {
		if command != "spring" {
			return relays.run(command, ch)
		}
		printed := rand.NewChaCha8([32]byte{})
		for n := range sp.ask {
			if _, err := io.CopyN(ch, printed, int64(n)); err != nil {
				return 1
			}
			sp.done <- struct{}{}
		}
		return 0
	}
	s := distant(t, sc.client(t), rtt)
	var err error
	if sp.remote, err = (sshShell{s.link}).start("spring"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sp.Close()
		close(sp.ask)
	})
	return sp
}

// read reads n bytes.
func (sp *spring) read(t *testing.T, n int) {
	t.Helper()
	for got, want := make([]byte, 32<<10), make([]byte, 32<<10); n > 0; {
		piece := min(n, len(got))
		if _, err := io.ReadFull(sp, got[:piece]); err != nil {
			t.Fatal(err)
		}
		sp.want.Read(want[:piece])
		if !bytes.Equal(got[:piece], want[:piece]) {
			t.Fatal("what came is not what was sent")
		}
		n -= piece
	}
}

// holds checks that a window is under way while nobody reads, and no more. What
// was read is told in pieces, so a little of it may be taken still.
func (sp *spring) holds(t *testing.T, window int) {
	t.Helper()
	untold := window / 16
	sp.ask <- window - untold
	select {
	case <-sp.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%d bytes do not get under way", window)
	}
	sp.ask <- untold + 1
	select {
	case <-sp.done:
		t.Fatalf("more than %d bytes are under way", window)
	case <-time.After(200 * time.Millisecond):
	}
	sp.read(t, window+1)
	<-sp.done
}

func TestUsedUpWindowIsWidenedAndStaysSo(t *testing.T) {
	sp := newSpring(t, time.Minute)
	sp.holds(t, channelWindow)
	for range 2 {
		sp.ask <- 64 << 20
		sp.read(t, 64<<20)
		<-sp.done
		sp.holds(t, maxWindow)
	}
}

func TestWindowThatIsNotUsedUpStaysAsItIs(t *testing.T) {
	sp := newSpring(t, 1)
	sp.ask <- 8 << 20
	sp.read(t, 8<<20)
	<-sp.done
	sp.holds(t, channelWindow)
}

// Whatever the window, each byte arrives, by a relay that was started again too.
func TestRushesArriveWhole(t *testing.T) {
	sc := newScene(t)
	relays := &programs{scene: sc}
	sc.bastion.Exec = relays.run
	c := sc.client(t)
	s := distant(t, c, time.Minute)
	for range 2 {
		rush(t, c)
		rush(t, c)
		down := nextChange(c)
		relays.kill()
		<-down
	}
	if err := ping(t.Context(), c); err != nil || !s.alive() {
		t.Errorf("ping = %v; the connection is still there: %v", err, s.alive())
	}
	if n := relays.runs.Load(); n != 3 {
		t.Errorf("%d relays were started, want 3: one at a time", n)
	}
}

// rush sends more than a window to and fro.
func rush(t *testing.T, c *Client) {
	t.Helper()
	conn, err := c.DialContext(t.Context(), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := bytes.Repeat([]byte("0123456789abcdef"), channelWindow/8) // two of them
	go conn.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Error("what came back is not what was sent")
	}
}
