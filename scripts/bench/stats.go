//go:build linux

package main

import (
	"math"
	"slices"
)

// quantile is the value below which the part q of values lies, between two
// neighbours in proportion (type 7 of Hyndman and Fan). Of none it is NaN.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 == len(sorted) {
		return sorted[below]
	}
	part := at - float64(below)
	return sorted[below]*(1-part) + sorted[below+1]*part
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// spread is half of the distance between the quartiles, as a part of the median.
func spread(values []float64) float64 {
	m := median(values)
	if m == 0 || math.IsNaN(m) {
		return 0
	}
	return (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / math.Abs(m)
}
