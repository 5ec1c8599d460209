package lab

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestLinkTakesItsTime(t *testing.T) {
	t.Parallel()
	l := New(t, Config{Uplink: LinkConfig{RTT: 30 * time.Millisecond}})
	echo(t, l, Bastion, ":7")
	c := dial(t, l, Laptop, "bastion:7")
	for _, rtt := range []time.Duration{30 * time.Millisecond, 60 * time.Millisecond, 0} {
		if err := l.Uplink.SetRTT(rtt); err != nil {
			t.Fatal(err)
		}
		if err := ask(c); err != nil { // packets on their way keep the old time
			t.Fatal(err)
		}
		start := time.Now()
		if err := ask(c); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < rtt-2*early {
			t.Errorf("a round trip over %v took %v", rtt, took)
		}
	}
}

func TestLinkKeepsItsRate(t *testing.T) {
	t.Parallel()
	l := New(t, Config{Uplink: LinkConfig{Rate: 10e6}})
	echo(t, l, Bastion, ":7")
	c := dial(t, l, Laptop, "bastion:7")
	const size = 500_000
	start := time.Now()
	go c.Write(make([]byte, size))
	if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	// 500 kB at 10 Mbit/s are 0.4 s; both ways overlap.
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("%d bytes took %v", size, took)
	}
}

func TestBytesSurviveALossyLink(t *testing.T) {
	t.Parallel()
	l := New(t, Config{Uplink: LinkConfig{Loss: 0.05, Seed: 1}})
	echo(t, l, Bastion, ":7")
	c := dial(t, l, Laptop, "bastion:7")
	sent := make([]byte, 200_000)
	for i := range sent {
		sent[i] = byte(i * 31 >> 3)
	}
	go c.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, sent) {
		t.Error("the bytes that came back differ")
	}
	if s := l.Uplink.Stats(); s.Dropped == 0 || s.Bytes < int64(2*len(sent)) {
		t.Errorf("stats = %+v, want losses, and at least %d bytes", s, 2*len(sent))
	}
	if err := l.Uplink.SetLoss(0); err != nil {
		t.Fatal(err)
	}
	before := l.Uplink.Stats().Dropped
	if err := ask(c); err != nil {
		t.Fatal(err)
	}
	if after := l.Uplink.Stats().Dropped; after != before {
		t.Errorf("%d packets lost on a link without loss", after-before)
	}
}

func TestBlackHoleStopsTrafficAndLetsItGoOn(t *testing.T) {
	t.Parallel()
	l := New(t, Config{})
	echo(t, l, Bastion, ":7")
	c := dial(t, l, Laptop, "bastion:7")
	if err := ask(c); err != nil {
		t.Fatal(err)
	}
	l.Uplink.BlackHole(true)
	c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if err := ask(c); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a black hole: %v, want a timeout", err)
	}
	l.Uplink.BlackHole(false)
	c.SetReadDeadline(time.Time{})
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // TCP sends it again
		t.Error(err)
	}
}

func TestForgetEndsOpenConnectionsOnly(t *testing.T) {
	t.Parallel()
	l := New(t, Config{})
	echo(t, l, Bastion, ":7")
	old := dial(t, l, Laptop, "bastion:7")
	if err := ask(old); err != nil {
		t.Fatal(err)
	}
	l.Uplink.Forget()
	young := dial(t, l, Laptop, "bastion:7")
	if err := ask(young); err != nil {
		t.Errorf("over a new connection: %v", err)
	}
	old.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if err := ask(old); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a forgotten connection: %v, want a timeout", err)
	}
	l.Uplink.Forget()
	young.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if err := ask(young); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("forgotten after a second time: %v, want a timeout", err)
	}
}

func TestFlowOfReadsWhatIsThere(t *testing.T) {
	t.Parallel()
	syn := make([]byte, 40)
	copy(syn, []byte{0x45, 9: 6, 12: 192, 13: 0, 14: 2, 15: 2, 16: 192, 17: 0, 18: 2, 19: 1, 20: 0xc0, 22: 0, 23: 22, 33: 2})
	want := flow{192, 0, 2, 1, 0, 22, 192, 0, 2, 2, 0xc0, 0}
	if got, first, ok := flowOf(syn); got != want || !first || !ok {
		t.Errorf("flowOf = %v, %v, %v, want %v, true, true", got, first, ok, want)
	}
	for n := range syn[:33] { // any shorter packet is none of TCP
		if _, _, ok := flowOf(syn[:n]); ok {
			t.Errorf("flowOf takes %d bytes for TCP", n)
		}
	}
}

func BenchmarkLinkRoundTrip(b *testing.B) {
	for _, rtt := range []time.Duration{0, 40 * time.Millisecond} {
		b.Run(rtt.String(), func(b *testing.B) {
			l := New(b, Config{Uplink: LinkConfig{RTT: rtt}})
			echo(b, l, Bastion, ":7")
			c := dial(b, l, Laptop, "bastion:7")
			var times []time.Duration
			for b.Loop() {
				start := time.Now()
				if err := ask(c); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start)-rtt)
			}
			slices.Sort(times)
			b.ReportMetric(float64(Percentile(times, 50).Microseconds()), "added-µs-p50")
			b.ReportMetric(float64(Percentile(times, 99).Microseconds()), "added-µs-p99")
		})
	}
}

func BenchmarkLinkThroughput(b *testing.B) {
	for _, bb := range []struct {
		name string
		link LinkConfig
	}{
		{"unlimited", LinkConfig{RTT: 40 * time.Millisecond}},
		{"1Gbit", LinkConfig{RTT: 40 * time.Millisecond, Rate: 1e9}},
		{"100Mbit", LinkConfig{RTT: 40 * time.Millisecond, Rate: 100e6}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			l := New(b, Config{Uplink: bb.link})
			ln, err := l.Listen(Bastion, "tcp", ":7")
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			c := dial(b, l, Laptop, "bastion:7")
			far, err := ln.Accept()
			if err != nil {
				b.Fatal(err)
			}
			var sink sync.WaitGroup
			sink.Go(func() { io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{far}) })
			defer sink.Wait()
			defer far.Close()
			chunk := make([]byte, 1<<20)
			for range 64 { // past slow start
				if _, err := c.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(chunk)))
			for b.Loop() {
				if _, err := c.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
