package tunnel

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

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

// distant is a client whose bastion seems to be rtt away.
func distant(t *testing.T, c *Client, rtt time.Duration) *session {
	t.Helper()
	start(t, c)
	s := c.current
	until(t, func() bool { return s.distance() > 0 })
	s.link.rtt.Store(int64(rtt))
	return s
}

func TestNarrowChannelGetsOthersBesideIt(t *testing.T) {
	sc := newScene(t)
	relays := &programs{scene: sc}
	sc.bastion.Exec = relays.run
	c := sc.client(t)
	spread := make(chan struct{}, 1)
	c.spread = func() { notify(spread) }
	s := distant(t, c, time.Minute)
	if n := relays.runs.Load(); n != 1 {
		t.Fatalf("%d relays before the rush", n)
	}
	rush(t, c)
	<-spread
	if n := relays.runs.Load(); n != someStripes {
		t.Errorf("%d relays after a rush, want %d", n, someStripes)
	}
	until(t, func() bool { rush(t, c); return c.Status().Channels == maxStripes })
	<-spread
	var conns []net.Conn
	for range 2 * maxStripes {
		conn, err := c.DialContext(t.Context(), "tcp", target)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	for i, r := range s.stripes.relays {
		if n := r.Streams(); n != 2 {
			t.Errorf("relay %d has %d connections, want 2", i, n)
		}
	}

	// One that ends takes its own connections along, and no more.
	relays.mu.Lock()
	relays.ends[1]()
	relays.mu.Unlock()
	until(t, func() bool { return c.Status().Channels == maxStripes-1 })
	ok := 0
	for _, conn := range conns {
		if echoed(conn) == nil {
			ok++
		}
	}
	if ok != 2*(maxStripes-1) {
		t.Errorf("%d connections live on, want %d", ok, 2*(maxStripes-1))
	}
	for range 2 * maxStripes {
		if err := ping(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	if c.current != s {
		t.Error("the session was replaced")
	}

	// When they are not needed any more they go.
	for _, conn := range conns {
		conn.Close()
	}
	until(t, func() bool { s.stripes.narrow(); return s.stripes.count() == 1 })
	if err := ping(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// A server may allow a single session, as MaxSessions does.
func TestNarrowChannelStaysAloneWhereTheServerAllowsNoOther(t *testing.T) {
	sc := newScene(t)
	var once sync.Once
	var asked atomic.Int32
	relays := &programs{scene: sc}
	sc.bastion.Exec = func(command string, ch ssh.Channel) int {
		status := 1
		asked.Add(1)
		once.Do(func() { status = relays.run(command, ch) })
		return status
	}
	c := sc.client(t)
	s := distant(t, c, time.Minute)
	rush(t, c)
	until(t, func() bool { return asked.Load() > 1 })
	rush(t, c)
	if n := s.stripes.count(); n != 1 || c.current != s {
		t.Errorf("%d relays, session replaced: %v", n, c.current != s)
	}
	if err := ping(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// A further relay that hangs is none, and takes nothing along.
func TestHungFurtherRelayLeavesTheFirstAlone(t *testing.T) {
	sc := newScene(t)
	var once sync.Once
	relays := &programs{scene: sc}
	sc.bastion.Exec = func(command string, ch ssh.Channel) int {
		first := false
		once.Do(func() { first = true })
		if first {
			return relays.run(command, ch)
		}
		io.Copy(io.Discard, ch)
		return 1
	}
	c := sc.client(t)
	s := distant(t, c, time.Minute)
	conn, err := c.DialContext(t.Context(), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if s.stripes.widen(impatient) {
		t.Error("relays that hang count as started")
	}
	if n := s.stripes.count(); n != 1 {
		t.Errorf("%d relays, want 1", n)
	}
	if err := echoed(conn); err != nil || c.current != s {
		t.Errorf("the first relay's connection: %v; session replaced: %v", err, c.current != s)
	}
}

// An upload fills its channel's window too, and is over when there are
// connections.
func TestUploadWidensNothing(t *testing.T) {
	c, l := &Client{}, &link{full: make(chan struct{}, 1)}
	notify(l.full)
	st := c.newStripes(nil, l)
	select {
	case <-st.full:
		t.Error("relays are started for what went before the first")
	default:
	}
	notify(l.full)
	select {
	case <-st.full:
	default:
		t.Error("what came after is not heard")
	}
}
