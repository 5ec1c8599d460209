//go:build linux

package main

import (
	"math"
	"testing"
)

func TestMedianAndSpread(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		values         []float64
		median, spread float64
	}{
		{"one", []float64{7}, 7, 0},
		{"two", []float64{10, 20}, 15, 2.5 / 15},
		{"three, out of order", []float64{30, 10, 20}, 20, 0.25},
		{"four", []float64{1, 2, 3, 4}, 2.5, 0.3},
		{"an outlier moves neither", []float64{10, 10, 10, 10, 1000}, 10, 0},
		{"zeros", []float64{0, 0}, 0, 0},
		{"negative", []float64{-30, -20, -10}, -20, 0.25},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := median(tt.values); math.Abs(got-tt.median) > 1e-9 {
				t.Errorf("median = %v, want %v", got, tt.median)
			}
			if got := spread(tt.values); math.Abs(got-tt.spread) > 1e-9 {
				t.Errorf("spread = %v, want %v", got, tt.spread)
			}
		})
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of none = %v, want NaN", got)
	}
}
