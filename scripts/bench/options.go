//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// condition is what the link between laptop and bastion is like, and which loads
// are measured over it.
type condition struct {
	rtt   time.Duration
	rate  int64   // bit/s each way, 0 is unlimited
	loss  float64 // 0 to 1, each way
	loads []string
}

// String names it, as in "40ms 20Mbit/s 0.5% loss".
func (c condition) String() string {
	s := c.rtt.String()
	if c.rate > 0 {
		s += fmt.Sprintf(" %gMbit/s", float64(c.rate)/1e6)
	}
	if c.loss > 0 {
		s += fmt.Sprintf(" %g%% loss", c.loss*100)
	}
	return s
}

// window is how long a turn takes. Unmeasured are the ten round trips in which TCP gets
// from ten segments to 14 MB under way, or a turn is about nothing else over 150 ms.
func (c condition) window(turn time.Duration) window {
	return window{warm: 200*time.Millisecond + 10*c.rtt, measured: turn + 4*c.rtt}
}

// standard are the conditions without any flag: some 20 minutes.
var standard = []condition{
	{rtt: 40 * time.Millisecond, loads: []string{"cli", "get1", "get64", "scan1", "scan8", "write12k", "mixed", "get256", "connect", "burst"}},
	{rtt: 150 * time.Millisecond, loads: []string{"cli", "scan8"}},
	{rtt: 40 * time.Millisecond, rate: 20e6, loads: []string{"scan1", "mixed"}},
	{rtt: 40 * time.Millisecond, loss: 0.005, loads: []string{"get16", "scan8"}},
	{rtt: 5 * time.Millisecond, loads: []string{"cli", "get64"}},
}

type options struct {
	conditions []condition
	peers      []string
	rounds     int
	turn, idle time.Duration
	binaries   []string
	json, plot string
	verbose    bool
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rtt := flags.String("rtt", "", "round-trip `times` of the link: 5ms,40ms (default: 40ms if -rate or -loss is given)")
	rates := flags.String("rate", "", "`rates` of the link in bit/s: 0,20M; 0 is unlimited")
	loss := flags.String("loss", "", "`percent` of packets lost each way: 0,0.5")
	names := flags.String("load", "", "`loads`: "+strings.Join(loadNames(), ","))
	peers := flags.String("peer", "", "`peers`: "+strings.Join(defaultPeers(1), ",")+"; relay2,forward2 are the second -ddbproxy's (default: all)")
	binaries := flags.String("ddbproxy", "bin/ddbproxy", "ddbproxy `programs`, with their relays inside, to measure beside each other")
	full := flags.Bool("full", false, "all loads over 5, 40 and 150 ms, unlimited, 100 and 20 Mbit/s, without and with 0.5 % loss: hours")
	flags.IntVar(&o.rounds, "rounds", 3, "`turns` of each peer with each load")
	flags.DurationVar(&o.turn, "turn", 500*time.Millisecond, "measured `time` of a turn, to which 4 round trips are added")
	flags.DurationVar(&o.idle, "idle", 0, "idle `time` before a burst (default 30s, with -full 10m)")
	flags.StringVar(&o.json, "json", "", "write the figures to `file` as JSON lines")
	flags.StringVar(&o.plot, "plot", "", "write a plot to `file` as SVG")
	flags.BoolVar(&o.verbose, "v", false, "say how long each turn took")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	err := o.set(*rtt, *rates, *loss, *names, *peers, *binaries, *full)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	return o, err
}

func (o *options) set(rtt, rates, loss, names, peers, binaries string, full bool) (err error) {
	o.conditions = standard
	switch {
	case full:
		rtt, rates, loss = or(rtt, "5ms,40ms,150ms"), or(rates, "0,100M,20M"), or(loss, "0,0.5")
		o.idle = orDuration(o.idle, 10*time.Minute)
		fallthrough
	case rtt+rates+loss != "":
		if o.conditions, err = matrix(or(rtt, "40ms"), or(rates, "0"), or(loss, "0")); err != nil {
			return err
		}
	}
	o.idle = orDuration(o.idle, 30*time.Second)
	for _, path := range strings.Split(binaries, ",") {
		if path, err = filepath.Abs(path); err != nil {
			return err
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w: run make build", err)
		}
		o.binaries = append(o.binaries, path)
	}
	known := defaultPeers(len(o.binaries))
	o.peers = known
	if peers != "" {
		if o.peers, err = choose("peer", peers, known); err != nil {
			return err
		}
	}
	chosen := loadNames()
	if names != "" {
		if chosen, err = choose("load", names, loadNames()); err != nil {
			return err
		}
	}
	o.conditions = slices.Clone(o.conditions)
	for i := range o.conditions {
		if c := &o.conditions[i]; len(c.loads) == 0 || names != "" {
			c.loads = chosen
		}
	}
	return nil
}

func matrix(rtts, rates, losses string) ([]condition, error) {
	var all []condition
	for _, loss := range strings.Split(losses, ",") {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(loss, "%"), 64)
		if err != nil || percent < 0 || percent > 100 {
			return nil, fmt.Errorf("-loss %s: write percent, such as 0.5", loss)
		}
		for _, r := range strings.Split(rates, ",") {
			bits, err := parseRate(r)
			if err != nil {
				return nil, err
			}
			for _, rtt := range strings.Split(rtts, ",") {
				d, err := time.ParseDuration(rtt)
				if err != nil {
					return nil, fmt.Errorf("-rtt %s: write it as 40ms", rtt)
				}
				all = append(all, condition{rtt: d, rate: bits, loss: percent / 100})
			}
		}
	}
	return all, nil
}

func parseRate(s string) (int64, error) {
	digits, unit := strings.TrimSuffix(s, "M"), 1.0
	if digits != s {
		unit = 1e6
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("-rate %s: write bit/s, such as 20M", s)
	}
	return int64(n * unit), nil
}

// choose keeps the order of known.
func choose(what, list string, known []string) ([]string, error) {
	wanted := strings.Split(list, ",")
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no %s %q; there are %s", what, name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(known), func(name string) bool { return !slices.Contains(wanted, name) }), nil
}

func loadNames() []string {
	var names []string
	for _, l := range loads {
		names = append(names, l.name)
	}
	return names
}

// defaultPeers are all peers there are with so many ddbproxy programs.
func defaultPeers(programs int) []string {
	names := append([]string{onBastion}, others...)
	for n := range programs {
		number := ""
		if n > 0 {
			number = strconv.Itoa(n + 1)
		}
		names = append(names, relay+number, forward+number, proxy+number)
	}
	return names
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
