//go:build linux

package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// panel is one group of bars.
type panel struct {
	title string
	bars  []bar
	mark  float64 // a line at the floor; 0 for none
}

type bar struct {
	name  string
	value float64
	ours  bool
}

// charts are what is plotted, of the first condition that has it.
var charts = []struct {
	title, load, metric string
	fits                func(condition) bool
	floor               bool
}{
	{"a CLI's call, ms (less is better)", "cli", p50, perfect, true},
	{"GetItem, 64 in flight, calls/s", "get64", rate, perfect, false},
	{"Scan, 8 in flight, MB/s", "scan8", throughput, perfect, false},
	{"Scan, 1 in flight, MB/s", "scan1", throughput, func(c condition) bool { return c.rate > 0 && c.loss == 0 }, false},
}

func perfect(c condition) bool { return c.rate == 0 && c.loss == 0 }

// labels are the peers of the plot, in its order.
var labels = []struct {
	peer, label string
	ours        bool
}{
	{sshL, "ssh -L", false}, {sshD, "ssh -D", false}, {sshuttle, "sshuttle", false},
	{relay, "ddbproxy", true}, {forward, "ddbproxy, forward", true},
}

func (r *results) panels() []panel {
	var all []panel
	for _, chart := range charts {
		for i, c := range r.conditions {
			if !chart.fits(c) || !r.has(c.String(), chart.load, chart.metric) {
				continue
			}
			p := panel{title: c.String() + ": " + chart.title}
			if chart.floor {
				p.mark = milliseconds(r.floors[i])
			}
			for _, l := range labels {
				if v := r.get(c.String(), chart.load, l.peer, chart.metric); !math.IsNaN(v) {
					p.bars = append(p.bars, bar{l.label, v, l.ours})
				}
			}
			all = append(all, p)
			break
		}
	}
	return all
}

// Sizes of the plot in pixels.
const (
	panelWidth = 420
	labelWidth = 140
	barWidth   = 215
	barHeight  = 16
	rowHeight  = 22
	titleSpace = 34
)

// Colours that are readable on white and on GitHub's dark background.
const (
	textColour   = "#768390"
	othersColour = "#9aa4af"
	ourColour    = "#3b82f6"
	markColour   = "#d9822b"
)

// writePlot writes panels of bars as SVG, two beside each other.
func (r *results) writePlot(w io.Writer) error {
	panels := r.panels()
	rows := 0
	for _, p := range panels {
		rows = max(rows, len(p.bars))
	}
	height := titleSpace + rows*rowHeight + 14
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="12" fill="%s">`+"\n",
		2*panelWidth, (len(panels)+1)/2*height, textColour)
	for i, p := range panels {
		p.write(&b, i%2*panelWidth, i/2*height)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (p panel) write(b *strings.Builder, x, y int) {
	most := p.mark
	for _, bar := range p.bars {
		most = max(most, bar.value)
	}
	scale := func(v float64) float64 { return v / most * barWidth }
	left := float64(x + labelWidth)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="600">%s</text>`+"\n", x+8, y+20, escape(p.title))
	for i, bar := range p.bars {
		top := y + titleSpace + i*rowHeight
		colour, weight := othersColour, "400"
		if bar.ours {
			colour, weight = ourColour, "600"
		}
		fmt.Fprintf(b, `<text x="%.0f" y="%d" text-anchor="end" font-weight="%s">%s</text>`, left-6, top+12, weight, escape(bar.name))
		fmt.Fprintf(b, `<rect x="%.0f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`, left, top, max(scale(bar.value), 1), barHeight, colour)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" font-weight="%s">%s</text>`+"\n", left+scale(bar.value)+5, top+12, weight, digits(bar.value))
	}
	if p.mark > 0 {
		at, top := left+scale(p.mark), y+titleSpace-6
		bottom := y + titleSpace + len(p.bars)*rowHeight
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="%s" stroke-width="1.5" stroke-dasharray="3 3"/>`, at, top, bottom, markColour)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" font-size="10" fill="%s">one round trip</text>`+"\n", at+4, bottom+6, markColour)
	}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
