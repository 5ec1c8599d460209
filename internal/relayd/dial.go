package relayd

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// dialer resolves and dials as net.Dialer does, but no address that one of the
// limits refuses. It looks at each address just before the kernel connects to it:
// an answer of DNS that was looked at earlier might be another by then.
func dialer(limits ...endpoint.Addresses) *net.Dialer {
	return &net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return refused(err)
		}
		for _, l := range limits {
			if err := l.Check(to.Addr()); err != nil {
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

// parsePrefixes reads "52.94.24.0/23,2600:…::/40".
func parsePrefixes(s string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range list(s) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no prefix such as 52.94.24.0/23", text)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}
