package relayd

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// dialer resolves and dials as net.Dialer does, but no address that one of
// allowed refuses. It looks at each address just before the kernel connects to it:
// an answer of DNS that was looked at earlier might be another by then.
func dialer(allowed ...endpoint.Addresses) *net.Dialer {
	return &net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return refused(err)
		}
		for _, a := range allowed {
			if err := a.Check(to.Addr()); err != nil {
				return refused(err)
			}
		}
		return nil
	}}
}

// refused makes err the relay's own refusal. It is final, so that it is seen at
// once: a wrong answer of DNS or a missing route is nothing to wait for.
func refused(err error) error {
	return &relay.Error{Kind: relay.KindDenied, Reason: err.Error()}
}
