package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Section is the part of the way that a Check looks at.
type Section string

// The sections, in the order of the way from the laptop to DynamoDB.
const (
	Laptop  Section = "Laptop"
	SSH     Section = "SSH"
	Relay   Section = "Relay"
	Bastion Section = "Bastion"
	AWS     Section = "AWS"
	Proof   Section = "Proof"
)

// Outcome is what became of a Check.
type Outcome string

// The outcomes of a Check.
const (
	OK      Outcome = "ok" // nothing stands in the way
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Check is one line of the checklist.
type Check struct {
	ID      string // of scripts: "laptop.clock"; it stays as it is
	Section Section
	Title   string // "clock", two or three words

	// Needs are the IDs of checks before this one without whose success it says
	// nothing: it is skipped then. IDs that are not in the list are passed over.
	Needs []string
	// Timeout bounds Run; 0 is defaultTimeout.
	Timeout time.Duration
	// Run looks, by Well, Bad or Skip, and may add to the facts.
	Run func(ctx context.Context, f *Facts) Finding
}

// defaultTimeout is what a check may take that names no other.
const defaultTimeout = 20 * time.Second

// Finding is what a Check has found out.
type Finding struct {
	Outcome Outcome `json:"outcome"`
	// Detail is what was seen; why, of a skipped check. It is never empty.
	Detail string `json:"detail"`
	// Meaning and Remedy are there where the check failed: what it leads to, in a
	// sentence, and the one command or console step that mends it.
	Meaning string `json:"meaning,omitempty"`
	Remedy  string `json:"remedy,omitempty"`

	took time.Duration // where it was not Run that took the time
	root string        // of a skipped check: the one that stands in its way
}

// Well is a check without a complaint.
func Well(format string, args ...any) Finding {
	return Finding{Outcome: OK, Detail: fmt.Sprintf(format, args...)}
}

// Bad is a check that failed: what was seen, what it means, and what mends it.
func Bad(detail, meaning, remedy string) Finding {
	return Finding{Outcome: Failed, Detail: detail, Meaning: meaning, Remedy: remedy}
}

// Skip is a check that could not be made, and why.
func Skip(format string, args ...any) Finding {
	return Finding{Outcome: Skipped, Detail: fmt.Sprintf(format, args...)}
}

// blocked is a check that another stands in the way of.
func blocked(root string) Finding {
	return Finding{Outcome: Skipped, Detail: "it needs " + root, root: root}
}

// Result is a Finding with the check that it is of.
type Result struct {
	ID      string  `json:"id"`
	Bastion string  `json:"bastion,omitempty"` // as it was named, of a check that is about one
	Section Section `json:"section"`
	Title   string  `json:"title"`
	Finding
	// Duration is in milliseconds.
	Duration float64 `json:"duration_ms"`
}

// Checklist makes checks and keeps what they found.
type Checklist struct {
	Results []Result
	// Each, where it is set, is told of every Result when it is there.
	Each func(Result)
}

// Run makes the checks in order. When ctx ends, the rest is skipped. It may be
// called again with further checks, and for each bastion with facts of its own.
func (l *Checklist) Run(ctx context.Context, checks []Check, f *Facts) {
	for _, c := range checks {
		start := time.Now()
		r := Result{ID: c.ID, Bastion: f.Bastion, Section: c.Section, Title: c.Title, Finding: c.look(ctx, f, l.Results)}
		r.Detail, r.Meaning, r.Remedy = printable(r.Detail), printableLines(r.Meaning), printableLines(r.Remedy)
		r.Duration = milliseconds(cmp.Or(r.took, time.Since(start)))
		l.Results = append(l.Results, r)
		if l.Each != nil {
			l.Each(r)
		}
	}
}

// Run makes one list of checks; each may be nil.
func Run(ctx context.Context, checks []Check, f *Facts, each func(Result)) []Result {
	l := Checklist{Each: each}
	l.Run(ctx, checks, f)
	return l.Results
}

// look is the finding of c after those of the checks before it.
func (c Check) look(ctx context.Context, f *Facts, before []Result) Finding {
	if ctx.Err() != nil {
		return Skip(interrupted)
	}
	for _, id := range c.Needs {
		i := slices.IndexFunc(before, func(r Result) bool { return r.ID == id && (r.Bastion == "" || r.Bastion == f.Bastion) })
		if i < 0 || before[i].Outcome == OK {
			continue
		}
		root := before[i].root
		if root == "" {
			how := "failed"
			if before[i].Outcome == Skipped {
				how = "was skipped"
			}
			root = fmt.Sprintf("%s: %s, which %s", before[i].Section, before[i].Title, how)
		}
		return blocked(root)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.Run(ctx, f)
}

// milliseconds has one digit behind the point.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}

// interrupted is why the rest was skipped.
const interrupted = "interrupted"

// AllWell reports whether the checks were made and none failed.
func AllWell(results []Result) bool {
	return !slices.ContainsFunc(results, func(r Result) bool { return r.Outcome == Failed || r.Detail == interrupted })
}
