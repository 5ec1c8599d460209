package edge

import (
	"net"
	"net/netip"
)

// Entrance marks the connections that l accepts as having come through the VPC
// endpoint; FromEntrance reads the mark. The demo has one listener per way in.
func Entrance(l net.Listener, vpce string) net.Listener { return &entrance{l, vpce} }

// FromEntrance is a Server.SourceVpce, and its default: the VPC endpoint of the
// Entrance that accepted the connection, "" for any other listener.
func FromEntrance(c net.Conn) string {
	if m, ok := c.(*markedConn); ok {
		return m.vpce
	}
	return ""
}

// FromAddress gives a Server.SourceVpce that takes clients within one of the prefixes
// as having come through the VPC endpoint. In the lab the network decides.
func FromAddress(vpce string, within ...netip.Prefix) func(net.Conn) string {
	return func(c net.Conn) string {
		client, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil {
			return ""
		}
		for _, prefix := range within {
			if prefix.Contains(client.Addr().Unmap()) {
				return vpce
			}
		}
		return ""
	}
}

type entrance struct {
	net.Listener
	vpce string
}

func (e *entrance) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &markedConn{c, e.vpce}, nil
}

type markedConn struct {
	net.Conn
	vpce string
}
