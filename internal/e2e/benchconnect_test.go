//go:build linux

package e2e

import (
	"bytes"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// BenchmarkConnect measures what a person waits for at the start: from
// `ddbproxy connect` to its URL, by when DynamoDB was reached, and then a first
// call; beside `ssh bastion true`. They take turns, fifteen times each. Figures
// are medians, in ms and in round trips.
func BenchmarkConnect(b *testing.B) {
	r := newRig(b, lab.Config{Uplink: lab.LinkConfig{RTT: rtt}})
	r.openDoor(lab.SSHDOptions{})
	r.connect().stop(os.Interrupt) // the relay is there from now on
	call := lab.FreshPosts{Dial: r.Dialer(lab.Laptop)}
	var ready, first, theirs []time.Duration
	for b.Loop() {
		for range 15 {
			start := time.Now()
			s := r.connect()
			ready = append(ready, time.Since(start))
			req, err := signedFor(b.Context(), localURL, "ListTables", []byte("{}"))
			if err != nil {
				b.Fatal(err)
			}
			transport := &http.Transport{DialContext: call.Dial, DisableKeepAlives: true}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
			first = append(first, time.Since(start))
			s.stop(os.Interrupt)

			ssh := r.Command(b.Context(), lab.Laptop, "/usr/bin/ssh", lab.BastionName, "true")
			var said bytes.Buffer
			ssh.Stderr = &said
			start = time.Now()
			if err := ssh.Run(); err != nil {
				b.Fatalf("ssh: %v: %s", err, &said)
			}
			theirs = append(theirs, time.Since(start))
		}
	}
	for _, m := range []struct {
		name  string
		times []time.Duration
	}{{"url", ready}, {"first-answer", first}, {"ssh-true", theirs}} {
		slices.Sort(m.times)
		median := lab.Percentile(m.times, 50)
		b.ReportMetric(float64(median)/float64(time.Millisecond), m.name+"-ms")
		b.ReportMetric(float64(median)/float64(rtt), m.name+"-rtt")
	}
	b.ReportMetric(0, "ns/op") // the sum says nothing
}
