//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// BenchmarkRelayMemory reports what a relay under sshd holds (VmRSS): alone, for
// each connection that waits, and in all with 500 of them: before and after all of
// them had a question of 1 KiB and an answer of 16 KiB at once.
//
//	go test -run '^$' -bench '^BenchmarkRelayMemory$' -benchtime 1x ./internal/e2e
func BenchmarkRelayMemory(b *testing.B) {
	const connections, question, answer = 500, 1 << 10, 16 << 10 // bytes
	lookAtSources(b)
	r := &rig{Lab: lab.New(b, lab.Config{}), tb: b} // in the place of AWS something that answers
	aws, err := r.Listen(lab.AWS, "tcp", lab.VPCEndpoint+":443")
	if err != nil {
		b.Fatal(err)
	}
	defer aws.Close()
	go func() { // ends with aws
		for {
			conn, err := aws.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for err := error(nil); err == nil; { // it ends when the relay does
					if _, err = io.ReadFull(conn, make([]byte, question)); err == nil {
						_, err = conn.Write(make([]byte, answer))
					}
				}
			}()
		}
	}()
	r.openDoor(lab.SSHDOptions{Path: filepath.Dir(r.installRelay()) + ":/usr/bin:/bin"})
	for b.Loop() {
		c := r.speak(b, "ddbproxy-relay")
		pid := r.relays()[0]
		rss := func() float64 { return float64(statusOf(b, pid, "VmRSS")) / 1024 }
		wait(b, time.Second)
		alone := rss()
		var open []net.Conn
		for range connections {
			conn, err := c.DialContext(b.Context(), "tcp", ddbName+":443")
			if err != nil {
				b.Fatal(err)
			}
			open = append(open, conn)
		}
		wait(b, time.Second)
		idle := rss()
		var all sync.WaitGroup
		for _, conn := range open {
			all.Go(func() {
				if _, err := conn.Write(make([]byte, question)); err != nil {
					b.Error(err)
				} else if _, err := io.ReadFull(conn, make([]byte, answer)); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		used := rss()
		for _, conn := range open {
			conn.Close()
		}
		c.Close()
		b.ReportMetric(alone, "MB-alone")
		b.ReportMetric((idle-alone)*1024/connections, "KB/idle-connection")
		b.ReportMetric(idle, fmt.Sprintf("MB-with-%d", connections))
		b.ReportMetric(used, fmt.Sprintf("MB-with-%d-used", connections))
	}
	b.ReportMetric(0, "ns/op") // its own length says nothing
}
