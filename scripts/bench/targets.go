//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// target is a promise. figure gives what was measured under a condition and its
// bound, and NaN where that was not measured.
type target struct {
	what   string
	least  bool // the figure must be at least the bound, else at most
	figure func(at) (got, bound float64)
}

// at looks figures up under one condition.
type at struct {
	r     *results
	c     condition
	floor float64 // ms
}

func (a at) of(load, peer, metric string) float64 { return a.r.get(a.c.String(), load, peer, metric) }

func (a at) best(load, metric string) float64 {
	v, _ := a.r.best(a.c.String(), load, metric, others)
	return v
}

// toPeer compares the relay with a peer, toBest with the best of them.
func toPeer(load, metric, peer string, bound float64) func(at) (float64, float64) {
	return func(a at) (float64, float64) { return a.of(load, relay, metric) / a.of(load, peer, metric), bound }
}

func toBest(load, metric string, bound float64) func(at) (float64, float64) {
	return func(a at) (float64, float64) { return a.of(load, relay, metric) / a.best(load, metric), bound }
}

func toFloor(load, metric string, bound float64) func(at) (float64, float64) {
	return func(a at) (float64, float64) { return a.of(load, relay, metric) / a.floor, bound }
}

var targets = []target{
	{"CLI-like call, in round trips", false, toFloor("cli", p50, 1.1)},
	{"GetItem p50, 1 in flight, in round trips", false, toFloor("get1", p50, 1.05)},
	{"GetItem p99, 1 in flight, to ssh -D", false, toPeer("get1", p99, sshD, 1)},
	{"GetItem p99, 16 in flight, to ssh -D", false, toPeer("get16", p99, sshD, 1)},
	{"GetItem p99, 64 in flight, to ssh -D", false, toPeer("get64", p99, sshD, 1)},
	{"GetItem/s, 64 in flight, to the best peer", true, toBest("get64", rate, 1)},
	{"GetItem/s, 256 in flight, to the best peer", true, toBest("get256", rate, 1)},
	{"Scan MB/s, 1 in flight, to the best peer", true, unlimited(toBest("scan1", throughput, 1.3))},
	{"Scan MB/s, 8 in flight, to the best peer", true, unlimited(toBest("scan8", throughput, 1.3))},
	{"Scan MB/s, 32 in flight, to the best peer", true, unlimited(toBest("scan32", throughput, 1.3))},
	{"writes of 12 KB, p50 to ssh -L", false, toPeer("write12k", p50, sshL, 0.5)},
	{"small reads beside scans, p99 to alone", false, func(a at) (float64, float64) {
		beside := a.of("mixed", relay, beside99)
		if math.IsNaN(beside) { // too few calls for it: it is at least the median
			beside = a.of("mixed", relay, beside50)
		}
		return beside / a.of("mixed", relay, alone99), 2
	}},
	{"burst of 16 after idle time, in round trips", false, toFloor("burst", last, 2)},
	{"start to first answer, to ssh HOST true, in round trips more", false, func(a at) (float64, float64) {
		return (a.of("connect", relay, p50) - a.of("connect", sshL, p50)) / a.floor, 1.5
	}},
	{"Scan MB/s over 20 Mbit/s, 1 in flight, to ssh -L", true, only20M(toPeer("scan1", throughput, sshL, 3))},
	{"Scan MB/s over 20 Mbit/s, 8 in flight, to ssh -L", true, only20M(toPeer("scan8", throughput, sshL, 3))},
	{"ddbproxy idle, MB", false, func(a at) (float64, float64) { return a.of("idle", relay, clientMB), 40 }},
	{"relay idle, MB", false, func(a at) (float64, float64) { return a.of("idle", relay, relayMB), 15 }},
}

// unlimited restricts a target to links on which throughput is up to the tunnel,
// at 40 ms and more.
func unlimited(figure func(at) (float64, float64)) func(at) (float64, float64) {
	return func(a at) (float64, float64) {
		if a.c.rate > 0 || milliseconds(a.c.rtt) < 40 {
			return math.NaN(), 0
		}
		return figure(a)
	}
}

func only20M(figure func(at) (float64, float64)) func(at) (float64, float64) {
	return func(a at) (float64, float64) {
		if a.c.rate != 20e6 {
			return math.NaN(), 0
		}
		return figure(a)
	}
}

// writeTargets writes a line for each target and each condition it applies to.
func writeTargets(w io.Writer, r *results) {
	fmt.Fprintln(w, "\nTargets, ddbproxy --carrier relay")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "target\tlink\tbound\tfigure\t")
	for _, target := range targets {
		for i, c := range r.conditions {
			got, bound := target.figure(at{r, c, milliseconds(r.floors[i])})
			if math.IsNaN(got) {
				continue
			}
			met, sign := got <= bound, "≤"
			if target.least {
				met, sign = got >= bound, "≥"
			}
			fmt.Fprintf(t, "%s\t%s\t%s %g\t%.2f\t%s\n", target.what, c, sign, bound, got, map[bool]string{true: "met", false: "NOT MET"}[met])
		}
	}
	_ = t.Flush()
}
