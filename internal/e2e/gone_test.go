//go:build linux

package e2e

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// orphanage is a bastion whose clients are about to vanish.
type orphanage struct {
	*rig
	clients []*exec.Cmd
	reading sync.WaitGroup
	pages   atomic.Int32 // that were read
	stop    context.CancelFunc
}

// start runs a ddbproxy on each port, whose ends nobody waits for. The first has
// pages of 1 MB under way all the time, more than a channel's first window holds.
func (o *orphanage) start(t *testing.T, ports ...string) {
	t.Helper()
	for _, port := range ports {
		cmd := o.ddbproxy(nil, "connect", lab.BastionName, "--listen", port)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		o.clients = append(o.clients, cmd)
	}
	within(t, time.Minute, "each has a relay", func() bool { return len(o.relays()) >= len(ports) })
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	for range 8 {
		o.reading.Go(func() {
			for o.read(ctx, "http://localhost:"+ports[0]) {
			}
		})
	}
	before := o.pages.Load()
	within(t, time.Minute, "pages come", func() bool { return o.pages.Load() > before+16 })
}

// read reads a page, or waits a little where it cannot, until ctx ends.
func (o *orphanage) read(ctx context.Context, url string) bool {
	transport := &http.Transport{DialContext: o.Dialer(lab.Laptop), DisableKeepAlives: true}
	if req, err := signedFor(ctx, url, "Scan", []byte("{}")); err == nil {
		if resp, err := transport.RoundTrip(req); err == nil {
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			if err == nil {
				o.pages.Add(1)
			}
			return err == nil || ctx.Err() == nil
		}
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

// vanish sends each client a signal, and wants every relay to end within a minute.
func (o *orphanage) vanish(t *testing.T, signals ...syscall.Signal) {
	t.Helper()
	for i, cmd := range o.clients {
		if err := cmd.Process.Signal(signals[i]); err != nil {
			t.Error(err)
		}
	}
	within(t, time.Minute, "relays end without their client", func() bool { return len(o.relays()) == 0 })
	for _, cmd := range o.clients {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	o.clients = nil
	o.stop()
	o.reading.Wait()
}

// Nothing runs on the bastion a minute after its client is gone, however it went
// and whatever was under way. sshd would keep its sessions for hours.
func TestRelaysEndWithoutTheirClient(t *testing.T) {
	t.Parallel()
	page := make([]byte, 1<<20)
	rand.Read(page) // so that no compression makes it smaller
	o := &orphanage{rig: newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: distance}}, func(s *edge.Server) {
		s.Backend = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	})}
	o.openDoor(lab.SSHDOptions{Path: filepath.Dir(o.installRelay()) + ":/usr/bin:/bin"})

	t.Log("two are stopped, for which the kernel keeps the connection, and one is killed")
	o.start(t, "8000", "8001", "8002")
	o.vanish(t, syscall.SIGSTOP, syscall.SIGSTOP, syscall.SIGKILL)

	t.Log("without power nothing comes any more, not even the connection's end")
	o.start(t, "8000", "8001")
	o.Uplink.BlackHole(true)
	o.vanish(t, syscall.SIGKILL, syscall.SIGKILL)
}
