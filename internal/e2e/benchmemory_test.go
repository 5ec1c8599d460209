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
// each connection that waits, and in all with 500 of them, before and while
// something passes over all of them at once.
//
//	go test -run '^$' -bench '^BenchmarkRelayMemory$' -benchtime 1x ./internal/e2e
func BenchmarkRelayMemory(b *testing.B) {
	const connections, piece = 500, 16 << 10
	lookAtSources(b)
	r := &rig{Lab: lab.New(b, lab.Config{}), tb: b} // with an echo for AWS
	echo, err := r.Listen(lab.AWS, "tcp", lab.VPCEndpoint+":443")
	if err != nil {
		b.Fatal(err)
	}
	defer echo.Close()
	go func() { // ends with echo
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // it ends when the relay does
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
				sent := make([]byte, piece)
				go func() { _, _ = conn.Write(sent) }() // what comes back tells
				if _, err := io.ReadFull(conn, sent); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		busy := rss()
		for _, conn := range open {
			conn.Close()
		}
		c.Close()
		b.ReportMetric(alone, "MB-alone")
		b.ReportMetric((idle-alone)*1024/connections, "KB/idle-connection")
		b.ReportMetric(idle, fmt.Sprintf("MB-with-%d", connections))
		b.ReportMetric(busy, fmt.Sprintf("MB-with-%d-busy", connections))
	}
	b.ReportMetric(0, "ns/op") // its own length says nothing
}
