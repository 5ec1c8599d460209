//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"net/http"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// rtt is the emulated round trip between laptop and bastion; AWS is beside the
// bastion.
const rtt = 40 * time.Millisecond

// BenchmarkCLICall measures what one command of the AWS CLI waits for: a call
// over a connection of its own. Both ways are taken in turns in one run, thirty
// times each, so that a busy machine is busy for both:
//
//	go test -run '^$' -bench CLICall -benchtime 1x ./internal/e2e
//
// Figures are the median in ms, and in round trips, of which one is the floor.
func BenchmarkCLICall(b *testing.B) {
	r := newRig(b, lab.Config{Uplink: lab.LinkConfig{RTT: rtt}})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	near := r.forward("127.0.0.1:9443")

	request := func(url string) func(context.Context) (*http.Request, error) {
		return func(ctx context.Context) (*http.Request, error) {
			return signedFor(ctx, url, "ListTables", []byte("{}"))
		}
	}
	proxied := lab.FreshPosts{Dial: r.Dialer(lab.Laptop), Request: request(localURL)}
	forwarded := lab.FreshPosts{
		Dial: r.Dialer(lab.Laptop), Addr: near,
		TLS: &tls.Config{RootCAs: r.ca.Pool()}, Request: request("https://" + ddbName),
	}
	var ours, theirs []time.Duration
	measure := func(p lab.FreshPosts, times *[]time.Duration) {
		took, err := p.Measure(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		*times = append(*times, took...)
	}
	for b.Loop() {
		for range 30 {
			measure(proxied, &ours)
			measure(forwarded, &theirs)
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	report := func(d time.Duration, name string) {
		b.ReportMetric(float64(d)/float64(time.Millisecond), name+"-ms")
		b.ReportMetric(float64(d)/float64(rtt), name+"-rtt")
	}
	report(lab.Percentile(ours, 50), "ddbproxy")
	report(lab.Percentile(theirs, 50), "ssh-L")
	b.ReportMetric(0, "ns/op") // the sum of both says nothing
}

// forward runs ssh -L on the laptop and returns its near end.
func (r *rig) forward(addr string) string {
	r.tb.Helper()
	ssh := r.Command(context.Background(), lab.Laptop, "/usr/bin/ssh", "-N", "-L", addr+":"+ddbName+":443", lab.BastionName)
	start(r.tb, ssh)
	eventually(r.tb, "ssh -L listens", func() bool {
		conn, err := r.Dial(r.tb.Context(), lab.Laptop, "tcp", addr)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return addr
}

// start runs a program that lasts as long as the test.
func start(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, as it should be
	})
}
