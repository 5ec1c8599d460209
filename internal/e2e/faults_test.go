//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// rtt is the emulated round trip between laptop and bastion; AWS is beside the
// bastion.
const rtt = 40 * time.Millisecond

// fault is what happens to both tools at once.
type fault struct {
	name string
	// do makes it and returns when it is mended. Calls that begin after began
	// are under it.
	do func() (began, mended time.Time)
	// ours is a fault that autossh has no part in.
	ours bool
	// asleep are the tools while it lasts: it begins for them when it is mended.
	asleep bool
}

// BenchmarkFaults compares what faults cost a client with ddbproxy and with
// autossh and ssh -L: both run on the same laptop to the same bastion, under the
// same load, and have each fault at the same time. The load is two loops, of
// reads and of writes, each with one call under way and one begun each 50 ms at
// most; the clients make one attempt. It prints a table in Markdown:
//
//	go test -run '^$' -bench '^BenchmarkFaults$' -benchtime 3x -timeout 60m ./internal/e2e
func BenchmarkFaults(b *testing.B) {
	if _, err := exec.LookPath("autossh"); err != nil {
		b.Skip("autossh is missing: apt-get install autossh")
	}
	r := newRig(b, lab.Config{Uplink: lab.LinkConfig{RTT: rtt}})
	r.openDoor(lab.SSHDOptions{})
	createTable(b, r.fromBastion(), tableOfRivals)
	rivals := []*rival{r.withDDBProxy(), r.withAutossh()}
	loaded, stop := context.WithCancel(b.Context())
	for _, v := range rivals {
		v.run(loaded)
	}
	defer func() {
		stop()
		for _, v := range rivals {
			v.running.Wait()
		}
	}()
	faults := r.faults(rivals)
	results := map[string][]result{}
	for b.Loop() {
		for _, f := range faults {
			for i, got := range r.suffer(f, rivals) {
				row := f.name + " | " + rivals[i].name
				results[row] = append(results[row], got)
				fmt.Fprintf(os.Stderr, "%s: %v\n", row, got)
			}
		}
	}
	fmt.Print("\n", table(faults, rivals, results), "\n")
	b.ReportMetric(0, "ns/op") // a fault's own length says nothing
}

// faults are those of the table. Each begins on tunnels that have been up for
// longer than either tool takes for a sign of trouble.
func (r *rig) faults(rivals []*rival) []fault {
	at := func(f func()) func() (time.Time, time.Time) {
		return func() (time.Time, time.Time) { f(); now := time.Now(); return now, now }
	}
	lasting := func(on func(), d time.Duration, off func()) func() (time.Time, time.Time) {
		return func() (time.Time, time.Time) {
			on()
			began := time.Now()
			wait(r.tb, d)
			off()
			return began, time.Now()
		}
	}
	return []fault{
		{name: "sessions killed on the bastion", do: at(r.door.KillSessions)},
		{name: "sshd restarted, 3 s away", do: lasting(r.door.Kill, 3*time.Second, r.door.Start)},
		{name: "relay killed", do: at(func() { kill(r.tb, r.relays()) }), ours: true},
		{name: "network swallows all for 20 s", do: lasting(func() { r.Uplink.BlackHole(true) }, 20*time.Second, func() { r.Uplink.BlackHole(false) })},
		{name: "NAT forgets the connection", do: at(r.Uplink.Forget)},
		{name: "laptop gets another address", do: at(r.move())},
		{name: "laptop asleep for 30 s", asleep: true, do: func() (time.Time, time.Time) { r.sleep(rivals, 30*time.Second); now := time.Now(); return now, now }},
	}
}

// move gives the laptop another address, at each call.
func (r *rig) move() func() {
	const other = "192.0.2.3"
	ip := func(ns lab.NS, args ...string) {
		if out, err := r.Command(context.Background(), ns, "ip", args...).CombinedOutput(); err != nil {
			r.tb.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	ip(lab.Bastion, "route", "add", other, "dev", "uplink")
	from, to := lab.LaptopAddr, other
	return func() {
		ip(lab.Laptop, "addr", "del", from, "peer", lab.BastionAddr, "dev", "uplink")
		ip(lab.Laptop, "addr", "add", to, "peer", lab.BastionAddr, "dev", "uplink")
		from, to = to, from
	}
}

// sleep is a laptop's as far as it can be had here: its programs are stopped,
// the tools and their clients, and nothing passes its network. Unlike a real
// sleep it does not stop the machine's monotonic clock.
func (r *rig) sleep(rivals []*rival, d time.Duration) {
	for _, v := range rivals {
		v.reading.pause()
		v.writing.pause()
	}
	r.Uplink.BlackHole(true)
	for _, v := range rivals {
		v.signal(syscall.SIGSTOP)
	}
	wait(r.tb, d)
	r.Uplink.BlackHole(false)
	for _, v := range rivals {
		v.signal(syscall.SIGCONT)
		v.reading.resume()
		v.writing.resume()
	}
}
