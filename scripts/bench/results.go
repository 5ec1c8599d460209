//go:build linux

package main

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// key is one figure of the report.
type key struct{ condition, load, peer, metric string }

// results are the figures of all rounds.
type results struct {
	conditions []condition
	floors     []time.Duration // round trips as measured, by condition
	order      []key           // as they came
	values     map[key][]float64
}

func (r *results) begin(c condition, floor time.Duration) {
	r.conditions = append(r.conditions, c)
	r.floors = append(r.floors, floor)
}

// add takes one turn under the condition begun last.
func (r *results) add(load, peer string, m metrics) {
	if r.values == nil {
		r.values = map[key][]float64{}
	}
	c := r.conditions[len(r.conditions)-1].String()
	for _, name := range metricOrder {
		v, ok := m[name]
		if !ok || math.IsNaN(v) {
			continue
		}
		k := key{c, load, peer, name}
		if _, known := r.values[k]; !known {
			r.order = append(r.order, k)
		}
		r.values[k] = append(r.values[k], v)
	}
}

// metricOrder are all metrics, in the order of the report.
var metricOrder = []string{p50, p99, rate, throughput, alone99, beside50, beside99, last, cpuLaptop, cpuBastion, clientMB, relayMB, failed}

// greaterIsBetter tells rates from times.
func greaterIsBetter(metric string) bool { return metric == rate || metric == throughput }

// get is the median of the rounds; NaN if there is none.
func (r *results) get(condition, load, peer, metric string) float64 {
	return median(r.values[key{condition, load, peer, metric}])
}

// best is the best of some peers' medians, and whose it is; NaN if there is none.
func (r *results) best(condition, load, metric string, peers []string) (v float64, peer string) {
	v = math.NaN()
	for _, p := range peers {
		got := r.get(condition, load, p, metric)
		if math.IsNaN(got) {
			continue
		}
		if math.IsNaN(v) || (got > v) == greaterIsBetter(metric) && got != v {
			v, peer = got, p
		}
	}
	return v, peer
}

// has reports whether any peer has a figure.
func (r *results) has(condition, load, metric string) bool {
	return slices.ContainsFunc(r.order, func(k key) bool {
		return k.condition == condition && k.load == load && k.metric == metric
	})
}

// writeJSON writes a line for each figure.
func (r *results) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	for _, k := range r.order {
		values := r.values[k]
		if err := e.Encode(struct {
			Condition string    `json:"condition"`
			Load      string    `json:"load"`
			Peer      string    `json:"peer"`
			Metric    string    `json:"metric"`
			Median    float64   `json:"median"`
			Spread    float64   `json:"spread"` // half of the interquartile range, by the median
			Rounds    []float64 `json:"rounds"`
		}{k.condition, k.load, k.peer, k.metric, median(values), spread(values), values}); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes to a path, if there is one.
func writeFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	var b strings.Builder
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
