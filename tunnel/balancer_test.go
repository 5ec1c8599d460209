package tunnel

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/skeema/knownhosts"
)

// A load balancer has one address, and servers with a host key each behind it.
func TestFleetBehindABalancerIsReconnected(t *testing.T) {
	a, b := newScene(t), newScene(t)
	b.bastion.Authorized = a.bastion.Authorized
	balancer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var behind atomic.Value // address of the server for new connections
	behind.Store(a.addr)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			near, err := balancer.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", behind.Load().(string))
			if err != nil {
				near.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				work.Go(func() {
					io.Copy(way[0], way[1])
					near.Close()
					far.Close()
				})
			}
		}
	})
	name := knownhosts.Normalize(balancer.Addr().String())
	known := knownhosts.Line([]string{name}, a.bastion.HostKey.PublicKey()) + "\n" + knownhosts.Line([]string{name}, b.bastion.HostKey.PublicKey()) + "\n"
	if err := os.WriteFile(a.knownHosts, []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	c := a.client(t)
	c.Destination = "dev@" + balancer.Addr().String()
	t.Cleanup(func() {
		balancer.Close()
		work.Wait()
	})
	start(t, c) // closed first
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	behind.Store(b.addr)
	a.bastion.Close()
	if err := ping(t.Context(), c); err != nil {
		t.Errorf("by the other server: %v", err)
	}
}
