//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// writeReport writes a table for each condition and one of the targets.
func writeReport(w io.Writer, r *results, peers []string) {
	fmt.Fprint(w, "Medians of the rounds, ± half of the interquartile range. bastion: the client is on the bastion,\n"+
		"without a tunnel. CPU: µs for each call, with Scan for each MB, of all processes of that way.\n"+
		"Last columns: ddbproxy (relay) to the best of "+strings.Join(others, ", ")+", and to the round trip.\n")
	for i, c := range r.conditions {
		floor := milliseconds(r.floors[i])
		fmt.Fprintf(w, "\n%s (round trip measured: %.1f ms)\n", c, floor)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "load\tfigure\t%s\tto best\tto RTT\t", strings.Join(peers, "\t"))
		two := slices.Contains(peers, relay2)
		if two {
			fmt.Fprintf(t, "%s to %s\t", relay2, relay)
		}
		fmt.Fprintln(t)
		for _, l := range append(append([]string{"at start"}, loadNames()...), "idle") {
			name := l
			for _, m := range metricOrder {
				if !r.has(c.String(), l, m) {
					continue
				}
				fmt.Fprintf(t, "%s\t%s\t", name, m)
				name = ""
				for _, p := range peers {
					fmt.Fprintf(t, "%s\t", figure(r.values[key{c.String(), l, p, m}]))
				}
				fmt.Fprintf(t, "%s\t%s\t", r.toBest(c.String(), l, m), r.toFloor(c.String(), l, m, floor))
				if two {
					fmt.Fprintf(t, "%s\t", ratio(r.get(c.String(), l, relay2, m), r.get(c.String(), l, relay, m)))
				}
				fmt.Fprintln(t)
			}
		}
		_ = t.Flush() // as with every print: there is nobody to tell
	}
	writeTargets(w, r)
	fmt.Fprintln(w, "\nLoads")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range loads {
		fmt.Fprintf(t, "%s\t%s\n", l.name, l.what)
	}
	_ = t.Flush()
}

// figure is a median with three digits that count, and the spread.
func figure(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	if len(values) == 1 {
		return digits(values[0])
	}
	return fmt.Sprintf("%s ±%.0f%%", digits(median(values)), spread(values)*100)
}

func digits(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "-"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func (r *results) toBest(c, load, metric string) string {
	best, _ := r.best(c, load, metric, others)
	return ratio(r.get(c, load, relay, metric), best)
}

func (r *results) toFloor(c, load, metric string, floor float64) string {
	if !strings.HasSuffix(metric, " ms") {
		return ""
	}
	return ratio(r.get(c, load, relay, metric), floor)
}

func ratio(a, b float64) string {
	if math.IsNaN(a) || math.IsNaN(b) || b == 0 {
		return ""
	}
	return fmt.Sprintf("×%.2f", a/b)
}
