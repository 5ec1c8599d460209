package tunnel

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"
)

// networkPoll is how often addresses are compared where the system does not
// tell of changes.
const networkPoll = 2 * time.Second

// pollNetwork tells when this machine's addresses change, until ctx ends.
func pollNetwork(ctx context.Context) <-chan struct{} {
	changes := make(chan struct{}, 1)
	go func() { // ends with ctx
		tick := time.NewTicker(networkPoll)
		defer tick.Stop()
		for last := addresses(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now := addresses(); now != last {
				last = now
				notify(changes)
			}
		}
	}()
	return changes
}

// addresses are this machine's, as one string to compare.
func addresses() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	texts := make([]string, len(all))
	for i, a := range all {
		texts[i] = a.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// hasAddress reports whether ip is still this machine's. Where that cannot be
// told it is: a probe will tell more.
func hasAddress(ip net.IP) bool {
	all, err := net.InterfaceAddrs()
	if err != nil || ip == nil {
		return true
	}
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // already told
	}
}
