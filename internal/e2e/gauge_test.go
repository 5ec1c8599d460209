//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// traced makes a Go program write a line on each of its goroutines to standard
// error, five times a second: the runtime's own way to count them from outside.
const traced = "GODEBUG=schedtrace=200,scheddetail=1"

// traceLine is a line of such a trace. What another line is mixed up with stays
// in the program's output.
var traceLine = regexp.MustCompile(`^(SCHED \d+ms: .*|  [GMP]\d+: status=.*|  M\d+: p=.* lockedg=\S+)$`)

// reading is what a process had in use at one moment, after so many faults.
type reading struct {
	faults     int
	fds        int
	goroutines int
	threads    int
	rss        int // KiB
}

// gauge reads a session's ddbproxy, which runs traced.
type gauge struct {
	session *session
	open    int // goroutines so far, of the trace that is coming in
	last    int // goroutines of the last whole one
	traces  int // whole ones
}

// read waits until the numbers of descriptors and goroutines have not changed
// for three traces, and returns them. After 10 s it takes what there is.
func (g *gauge) read(t *testing.T, faults int) reading {
	t.Helper()
	pid := g.session.cmd.Process.Pid
	deadline := time.Now().Add(10 * time.Second)
	var last reading
	for same := 0; same < 3 && time.Now().Before(deadline); {
		for before := g.traces; g.traces == before && time.Now().Before(deadline); {
			wait(t, 100*time.Millisecond)
			g.follow()
		}
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		now := reading{faults: faults, fds: len(fds), goroutines: g.last}
		if now == last {
			same++
		} else {
			last, same = now, 0
		}
	}
	last.threads, last.rss = statusOf(t, pid, "Threads"), statusOf(t, pid, "VmRSS")
	return last
}

// follow takes the traces out of what ddbproxy has said since the last time.
func (g *gauge) follow() {
	for _, line := range g.session.stderr.take(traceLine) {
		switch {
		case strings.HasPrefix(line, "SCHED"):
			if g.open > 0 {
				g.last = g.open
				g.traces++
			}
			g.open = 0
		case strings.HasPrefix(line, "  G") && !strings.Contains(line, "status=6("): // 6: it has ended
			g.open++
		}
	}
}

// statusOf is a number in /proc/PID/status.
func statusOf(t testing.TB, pid int, name string) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\n"+name+":")
	return atoi(t, strings.Fields(rest + " -")[0])
}

// take removes the whole lines that match and returns them.
func (t *text) take(line *regexp.Regexp) (taken []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.SplitAfter(t.b.String(), "\n")
	t.b.Reset()
	for _, l := range lines {
		if whole, ok := strings.CutSuffix(l, "\n"); ok && line.MatchString(whole) {
			taken = append(taken, whole)
		} else {
			t.b.WriteString(l)
		}
	}
	return taken
}

// growth compares the medians of the first and the last third of readings, and
// returns a complaint for what has grown as it would with a leak at each fault.
// Between those medians lie about two thirds of the faults, and half as many
// descriptors or goroutines are too many. Threads are the runtime's, which keeps
// those that it once needed: it may have four more. Memory has its ups and
// downs: it may grow by 4 MiB; and up to 16 spare connections, of two goroutines
// each, are there or not yet after a fault. So only a long soak sees a small leak.
func growth(readings []reading) (complaints []string) {
	third := len(readings) / 3
	if third == 0 {
		return []string{"too few readings"}
	}
	medians := func(of func(reading) int) (first, last int) {
		middle := func(part []reading) int {
			var values []int
			for _, r := range part {
				values = append(values, of(r))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		return middle(readings[:third]), middle(readings[len(readings)-third:])
	}
	first, last := medians(func(r reading) int { return r.faults })
	half := (last - first) / 2
	for _, row := range []struct {
		name    string
		of      func(reading) int
		allowed int
	}{
		{"descriptors", func(r reading) int { return r.fds }, half},
		{"goroutines", func(r reading) int { return r.goroutines }, half + 2*16},
		{"threads", func(r reading) int { return r.threads }, max(half, 4)},
		{"KiB of memory", func(r reading) int { return r.rss }, 4 << 10},
	} {
		if before, after := medians(row.of); after-before > row.allowed {
			complaints = append(complaints, fmt.Sprintf("%s grew from %d to %d over %d faults, want at most %d more", row.name, before, after, last-first, row.allowed))
		}
	}
	return complaints
}

func TestGrowthSeesALeakOfOnePerFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		leak reading // per fault
		want []string
	}{
		{name: "none"},
		{"descriptor", reading{fds: 1}, []string{"descriptors grew from 61 to 181 over 120 faults, want at most 60 more"}},
		{"goroutine", reading{goroutines: 1}, []string{"goroutines grew from 99 to 219 over 120 faults, want at most 92 more"}},
		{"thread", reading{threads: 1}, []string{"threads grew from 51 to 171 over 120 faults, want at most 60 more"}},
		{"memory", reading{rss: 1 << 10}, []string{"KiB of memory grew from 61460 to 184340 over 120 faults, want at most 4096 more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var readings []reading
			for n := range 9 {
				faults, noise := 20*n+20, n%2
				readings = append(readings, reading{
					faults: faults, fds: 20 + noise + tt.leak.fds*faults, goroutines: 60 - noise + tt.leak.goroutines*faults,
					threads: 10 + noise + tt.leak.threads*faults, rss: 20000 + 500*noise + tt.leak.rss*faults,
				})
			}
			if got := growth(readings); !slices.Equal(got, tt.want) {
				t.Errorf("growth = %q, want %q", got, tt.want)
			}
		})
	}
}
