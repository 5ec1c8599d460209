package tunnel

import (
	"fmt"
	"net"
)

// dialer dials from BindAddress, or from the first address of BindInterface
// that AddressFamily allows.
func (h *host) dialer() (*net.Dialer, error) {
	d := new(net.Dialer)
	switch {
	case h.BindAddress != "":
		local, err := net.ResolveTCPAddr(h.AddressFamily, net.JoinHostPort(h.BindAddress, "0"))
		if err != nil {
			return nil, fmt.Errorf("BindAddress: %w", plain(err))
		}
		d.LocalAddr = local
	case h.BindInterface != "":
		iface, err := net.InterfaceByName(h.BindInterface)
		if err != nil {
			return nil, fmt.Errorf("BindInterface %s: %w", h.BindInterface, plain(err))
		}
		addrs, err := iface.Addrs()
		if err != nil {
			return nil, fmt.Errorf("BindInterface %s: %w", h.BindInterface, plain(err))
		}
		for _, a := range addrs {
			ip, ok := a.(*net.IPNet)
			if !ok || ip.IP.IsLinkLocalUnicast() && ip.IP.To4() == nil {
				continue
			}
			four := ip.IP.To4() != nil
			if h.AddressFamily == "tcp" || (h.AddressFamily == "tcp4") == four {
				d.LocalAddr = &net.TCPAddr{IP: ip.IP}
				return d, nil
			}
		}
		return nil, fmt.Errorf("BindInterface %s has no address to use", h.BindInterface)
	}
	return d, nil
}
