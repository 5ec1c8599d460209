//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == serveArg {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench: the pretend AWS:", err)
			os.Exit(1)
		}
		return
	}
	o, err := parseOptions(os.Args[1:])
	if err != nil {
		os.Exit(2) // package flag has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and reports. What was measured until an interrupt is reported too.
func run(ctx context.Context, o options) error {
	r := &results{}
	about := about(o)
	err := inLab(func(tb *standIn) error {
		s, err := newScene(ctx, tb, o)
		if err != nil {
			return err
		}
		for _, c := range o.conditions {
			if err := s.measure(ctx, c, r); err != nil {
				return err
			}
		}
		return nil
	})
	if len(r.values) == 0 {
		return err
	}
	fmt.Println(about)
	writeReport(os.Stdout, r, o.peers)
	return errors.Join(err, writeFile(o.json, r.writeJSON), writeFile(o.plot, r.writePlot))
}

// about says on what the figures were made. Others' work on the machine, of which
// the load average tells, slows all peers, those most that need most of it.
func about(o options) string {
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%d processors, load average %s before; %d rounds, turns of %v and 4 round trips; ddbproxy: %s",
		runtime.NumCPU(), first, o.rounds, o.turn, strings.Join(o.binaries, ", "))
}
