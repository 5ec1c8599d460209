//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"
)

// sample has two conditions with figures of three peers.
func sample() *results {
	r := &results{}
	r.begin(condition{rtt: 40 * time.Millisecond}, 40*time.Millisecond)
	for _, times := range []float64{42, 44, 46} {
		r.add("cli", relay, metrics{p50: times})
		r.add("cli", sshL, metrics{p50: times * 4})
		r.add("cli", sshD, metrics{p50: times * 5})
	}
	r.add("scan8", relay, metrics{throughput: 60})
	r.add("scan8", sshL, metrics{throughput: 40})
	r.add("scan8", sshD, metrics{throughput: 50, failed: 3})
	r.begin(condition{rtt: 40 * time.Millisecond, rate: 20e6}, 40*time.Millisecond)
	r.add("scan1", relay, metrics{throughput: 5})
	r.add("scan1", sshL, metrics{throughput: 2.5})
	r.add("mixed", relay, metrics{alone99: 50, beside50: 500}) // too few calls for a p99
	return r
}

func TestReport(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	writeReport(&b, sample(), []string{sshL, sshD, relay})
	_, got, _ := strings.Cut(b.String(), "\n\n")
	got, _, _ = strings.Cut(got, "\n\nLoads\n")
	var lines []string
	for line := range strings.Lines(got) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	got = strings.Join(lines, "\n")
	want := `40ms (round trip measured: 40.0 ms)
load figure ssh-L ssh-D relay to best to RTT
cli p50 ms 176 ±2% 220 ±2% 44.0 ±2% ×0.25 ×1.10
scan8 MB/s 40.0 50.0 60.0 ×1.20
failed - 3.00 -

40ms 20Mbit/s (round trip measured: 40.0 ms)
load figure ssh-L ssh-D relay to best to RTT
scan1 MB/s 2.50 - 5.00 ×2.00
mixed alone p99 ms - - 50.0 ×1.25
beside p50 ms - - 500 ×12.50

Targets, ddbproxy --carrier relay
target link bound figure
CLI-like call, in round trips 40ms ≤ 1.1 1.10 met
Scan MB/s, 8 in flight, to the best peer 40ms ≥ 1.3 1.20 NOT MET
small reads beside scans, p99 to alone 40ms 20Mbit/s ≤ 2 10.00 NOT MET
Scan MB/s over 20 Mbit/s, 1 in flight, to ssh -L 40ms 20Mbit/s ≥ 3 2.00 NOT MET`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBestPeer(t *testing.T) {
	t.Parallel()
	r := sample()
	for _, tt := range []struct {
		load, metric, peer string
		value              float64
	}{
		{"cli", p50, sshL, 176},         // the least time
		{"scan8", throughput, sshD, 50}, // the greatest rate
	} {
		if v, peer := r.best("40ms", tt.load, tt.metric, others); v != tt.value || peer != tt.peer {
			t.Errorf("best %s of %s is %v by %s, want %v by %s", tt.metric, tt.load, v, peer, tt.value, tt.peer)
		}
	}
}

func TestJSONHasARoundEach(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := sample().writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(b.String(), "\n")
	want := `{"condition":"40ms","load":"cli","peer":"relay","metric":"p50 ms","median":44,"spread":0.022727272727272728,"rounds":[42,44,46]}`
	if first != want {
		t.Errorf("first line = %s, want %s", first, want)
	}
}

func TestPlot(t *testing.T) {
	t.Parallel()
	r := sample()
	got := r.panels()
	want := []panel{
		{"40ms: a CLI's call, ms (less is better)", []bar{{"ssh -L", 176, false}, {"ssh -D", 220, false}, {"ddbproxy", 44, true}}, 40},
		{"40ms: Scan, 8 in flight, MB/s", []bar{{"ssh -L", 40, false}, {"ssh -D", 50, false}, {"ddbproxy", 60, true}}, 0},
		{"40ms 20Mbit/s: Scan, 1 in flight, MB/s", []bar{{"ssh -L", 2.5, false}, {"ddbproxy", 5, true}}, 0},
	}
	if len(got) != len(want) {
		t.Fatalf("%d panels, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].title != want[i].title || got[i].mark != want[i].mark || len(got[i].bars) != len(want[i].bars) {
			t.Errorf("panel %d = %+v, want %+v", i, got[i], want[i])
			continue
		}
		for j, b := range want[i].bars {
			if got[i].bars[j] != b {
				t.Errorf("panel %d: bar = %+v, want %+v", i, got[i].bars[j], b)
			}
		}
	}
	var b bytes.Buffer
	if err := r.writePlot(&b); err != nil {
		t.Fatal(err)
	}
	bars := 0
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 8 {
		t.Errorf("%d bars, want 8", bars)
	}
}
