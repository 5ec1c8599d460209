//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the processor time of all threads of the processes so far. The
// scheduler's own count is in ns, where /proc/PID/stat has ticks of 10 ms.
func cpuTime(pids []int) time.Duration {
	var sum time.Duration
	for _, pid := range pids {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, path := range threads {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // it has just ended
			}
			on, _, _ := strings.Cut(string(text), " ")
			ns, _ := strconv.ParseInt(on, 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// usage is what a peer's processes had used at one moment.
type usage struct {
	laptop, bastion []int
	before          [2]time.Duration
}

func (p *peer) usage() usage {
	u := usage{laptop: p.onLaptop(), bastion: p.onBastion()}
	u.before = [2]time.Duration{cpuTime(u.laptop), cpuTime(u.bastion)}
	return u
}

// per adds the processor time since then in µs for each of n calls, or MB.
func (u usage) per(m metrics, n float64) {
	if n == 0 || len(u.laptop) == 0 {
		return
	}
	m[cpuLaptop] = float64(cpuTime(u.laptop)-u.before[0]) / float64(time.Microsecond) / n
	m[cpuBastion] = float64(cpuTime(u.bastion)-u.before[1]) / float64(time.Microsecond) / n
}

// rss is the resident memory of the processes in bytes.
func rss(pids []int) int64 {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text))
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		sum += pages * int64(os.Getpagesize())
	}
	return sum
}

// family is a process and all that it has started.
func family(pid int) []int {
	children := map[int][]int{}
	for _, p := range allPIDs() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		// The name in brackets may hold anything, brackets too.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], p)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// inSamePIDNamespace are the processes in a process's namespace: the lab gives
// each sshd one of its own.
func inSamePIDNamespace(pid int) []int {
	var all []int
	home := pidNamespace(pid)
	for _, p := range allPIDs() {
		if home != 0 && pidNamespace(p) == home {
			all = append(all, p)
		}
	}
	return all
}

func pidNamespace(pid int) uint64 {
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/ns/pid", pid), &st) != nil {
		return 0
	}
	return st.Ino
}

// named keeps the processes whose program's name begins with prefix.
func named(pids []int, prefix string) []int {
	var some []int
	for _, pid := range pids {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if strings.HasPrefix(string(name), prefix) {
			some = append(some, pid)
		}
	}
	return some
}

// findProcess is the process whose command line holds text, outside of this
// process's own pid namespace; 0 if there is none.
func findProcess(text string) int {
	home := pidNamespace(os.Getpid())
	for _, pid := range allPIDs() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), text) && pidNamespace(pid) != home {
			return pid
		}
	}
	return 0
}

func allPIDs() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
