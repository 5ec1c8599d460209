//go:build linux

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// result is what one fault cost with one rival.
type result struct {
	noticed time.Duration // 0: never
	good    time.Duration // from the mending to the first good answer
	failed  int           // calls
	lost    int           // acknowledged writes that were not done
	doubled int           // writes done twice
}

func (r result) String() string {
	return fmt.Sprintf("noticed after %v, served %v after it was mended, %d calls failed, %d writes lost, %d done twice", r.noticed, r.good, r.failed, r.lost, r.doubled)
}

// calm is how long all is well before a fault. Both tools take an end within
// 10 s of a beginning for a sign of lasting trouble, and wait before they try
// again.
const calm = 12 * time.Second

// suffer lets the rivals have a fault and returns what it cost each.
func (r *rig) suffer(f fault, rivals []*rival) []result {
	b := r.tb
	b.Helper()
	for _, v := range rivals {
		v.forget()
	}
	wait(b, calm)
	var before []int
	for _, v := range rivals {
		if _, failed := v.since(time.Now().Add(-calm / 2)); failed > 0 {
			b.Errorf("%s had %d failures before: %s", v.name, failed, f.name)
		}
		before = append(before, v.notices())
	}
	start := time.Now()
	noticed := make([]chan time.Time, len(rivals))
	watching, stop := context.WithCancel(b.Context())
	defer stop()
	for i, v := range rivals {
		noticed[i] = make(chan time.Time, 1)
		go v.watch(watching, before[i], noticed[i]) // ends with watching
	}
	began, mended := f.do()
	results := make([]result, len(rivals))
	for i, v := range rivals {
		eventually(b, v.name+" is back", func() bool { _, ok := v.firstGood(began, mended); return ok })
		results[i].good, _ = v.firstGood(began, mended)
	}
	wait(b, calm/4) // later failures are the fault's too
	if f.asleep {
		start = began
	}
	read := time.Now() // the load goes on
	items := r.items(tableOfRivals)
	for i, v := range rivals {
		_, results[i].failed = v.since(start)
		results[i].lost, results[i].doubled = v.account(items, read)
		select {
		case at := <-noticed[i]:
			results[i].noticed = max(at.Sub(start), 1)
		default: // it has not
		}
	}
	return results
}

// table is what README shows: medians, with the least and the greatest, and sums
// of what should be none.
func table(faults []fault, rivals []*rival, results map[string][]result) string {
	var b strings.Builder
	b.WriteString("| fault | tool | noticed after | first good answer, after it was mended | calls failed | acknowledged writes lost | writes done twice |\n|---|---|---|---|---|---|---|\n")
	for _, f := range faults {
		for i, v := range rivals {
			row := f.name + " | " + v.name
			if f.ours && i > 0 {
				continue
			}
			var noticed, good []time.Duration
			var failed []int
			lost, doubled, unnoticed := 0, 0, 0
			for _, got := range results[row] {
				if got.noticed > 0 {
					noticed = append(noticed, got.noticed)
				} else {
					unnoticed++
				}
				good, failed = append(good, got.good), append(failed, got.failed)
				lost, doubled = lost+got.lost, doubled+got.doubled
			}
			notice := "not at all"
			if len(noticed) > 0 {
				notice = spread(noticed, seconds)
				if unnoticed > 0 {
					notice += fmt.Sprintf(", %d of %d not at all", unnoticed, len(good))
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %d | %d |\n", row, notice, spread(good, seconds), spread(failed, func(n int) string { return fmt.Sprint(n) }), lost, doubled)
		}
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// spread is a median with the least and the greatest, where they differ.
func spread[T cmp.Ordered](all []T, text func(T) string) string {
	all = slices.Sorted(slices.Values(all))
	least, middle, greatest := text(all[0]), text(all[len(all)/2]), text(all[len(all)-1])
	if least == greatest {
		return middle
	}
	return fmt.Sprintf("%s (%s to %s)", middle, least, greatest)
}

func TestTableOfFaults(t *testing.T) {
	t.Parallel()
	got := table(
		[]fault{{name: "a"}, {name: "b", ours: true}},
		[]*rival{{name: "x"}, {name: "y"}},
		map[string][]result{
			"a | x": {{noticed: 3 * time.Second, good: time.Second}, {noticed: time.Second, good: time.Second}, {noticed: 2 * time.Second, good: 4 * time.Second, failed: 7, lost: 1}},
			"a | y": {{good: time.Second, doubled: 2}, {noticed: time.Second, good: time.Second, failed: 1, doubled: 1}},
			"b | x": {{good: 1500 * time.Millisecond}},
		})
	want := strings.Join([]string{
		"| fault | tool | noticed after | first good answer, after it was mended | calls failed | acknowledged writes lost | writes done twice |",
		"|---|---|---|---|---|---|---|",
		"| a | x | 2.00 s (1.00 s to 3.00 s) | 1.00 s (1.00 s to 4.00 s) | 0 (0 to 7) | 1 | 0 |",
		"| a | y | 1.00 s, 1 of 2 not at all | 1.00 s | 1 (0 to 1) | 0 | 3 |",
		"| b | x | not at all | 1.50 s | 0 | 0 | 0 |",
		"",
	}, "\n")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestAccountOfWrites(t *testing.T) {
	t.Parallel()
	at := time.Now()
	v := &rival{name: "x"}
	for n, ended := range []time.Duration{-1, -1, -1, 1} {
		v.writes = append(v.writes, turn{n: n, ended: at.Add(ended)})
	}
	v.writes = append(v.writes, turn{n: 4, ended: at, err: context.Canceled})
	value := func(n string) row { return row{"n": &types.AttributeValueMemberN{Value: n}} }
	// 1 is lost, 2 was done twice, 3 came too late to be there, 4 was never acknowledged.
	lost, doubled := v.account(map[string]row{v.key(0): value("1"), v.key(2): value("2")}, at)
	if lost != 1 || doubled != 1 {
		t.Errorf("lost %d, doubled %d, want 1 and 1", lost, doubled)
	}
}
