package doctor

import (
	"fmt"
	"io"
	"strings"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// Printer shows results to a person, each when it comes.
type Printer struct {
	W io.Writer
	// Color is for terminals of people who have not set NO_COLOR.
	Color bool

	heading string
}

// Print shows a line, and under a failed check what it means and what mends it. A
// Checklist has made its texts printable.
func (p *Printer) Print(r Result) {
	if heading := strings.TrimSpace(string(r.Section) + "  " + printable(r.Bastion)); heading != p.heading {
		if p.heading != "" {
			fmt.Fprintln(p.W)
		}
		p.heading = heading
		fmt.Fprintln(p.W, p.in("1", heading))
	}
	mark := map[Outcome]string{OK: p.in("32", "✓"), Failed: p.in("31", "✗"), Skipped: p.in("33", "–")}[r.Outcome]
	fmt.Fprintf(p.W, "  %s %-22s %s\n", mark, r.Title, r.Detail)
	if r.Outcome != Failed {
		return
	}
	for line := range strings.SplitSeq(r.Meaning, "\n") {
		fmt.Fprintf(p.W, "      %s\n", line)
	}
	for line := range strings.SplitSeq(r.Remedy, "\n") {
		fmt.Fprintf(p.W, "      %s %s\n", p.in("1", "→"), line)
	}
}

// Sum is the last line: how many checks there were, and how they went.
func (p *Printer) Sum(results []Result) {
	count := make(map[Outcome]int)
	for _, r := range results {
		count[r.Outcome]++
	}
	fmt.Fprintf(p.W, "\n%d ok, %d failed, %d skipped\n", count[OK], count[Failed], count[Skipped])
}

// in colours text by an SGR parameter (ECMA-48, 8.3.117).
func (p *Printer) in(color, text string) string {
	if !p.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// printable makes one line of words that may be a server's own.
func printable(text string) string { return relay.Printable(text, 1000) }

// printableLines keeps the ends of lines.
func printableLines(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, printable(line))
	}
	return strings.Join(lines, "\n")
}
