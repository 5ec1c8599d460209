package endpoint

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	gateway := Addresses{Prefixes: prefixes("52.94.24.0/23 2a05:d07a:a000::/40")}
	inside := Addresses{Private: true}
	both := Addresses{Prefixes: gateway.Prefixes, Private: true}
	for _, tc := range []struct {
		name  string
		allow Addresses
		addr  string
		why   string // part of the reason; empty: allowed
	}{
		{"public, no limits", Addresses{}, "52.94.24.5", ""},
		{"private, no limits", Addresses{}, "10.0.0.53", ""},
		{"in the prefix list", gateway, "52.94.25.255", ""},
		{"in the prefix list, mapped", gateway, "::ffff:52.94.25.255", ""},
		{"in the prefix list, IPv6", gateway, "2a05:d07a:a000::1", ""},
		{"beside the prefix list", gateway, "52.94.26.0", "not among the allowed ones (52.94.24.0/23, 2a05:d07a:a000::/40)"},
		{"private, not in the prefix list", gateway, "10.0.0.53", "not among the allowed ones"},
		{"RFC 1918", inside, "172.31.255.1", ""},
		{"beside RFC 1918", inside, "172.32.0.1", "not among the allowed ones (private addresses)"},
		{"RFC 6598", inside, "100.127.0.1", ""},
		{"unique local", inside, "fd12:3456::1", ""},
		{"public where private is wanted", inside, "52.94.24.5", "not among the allowed ones"},
		{"either: private", both, "192.168.1.1", ""},
		{"either: prefix", both, "52.94.24.5", ""},
		{"either: neither", both, "8.8.8.8", "2a05:d07a:a000::/40, private addresses"},
		{"a translated address is not in the list", gateway, "64:ff9b::345e:1805", "not among the allowed ones"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.allow.Check(netip.MustParseAddr(tc.addr))
			if tc.why == "" && err != nil || tc.why != "" && (err == nil || !strings.Contains(err.Error(), tc.why)) {
				t.Errorf("%s: error %v, want %q", tc.addr, err, tc.why)
			}
		})
	}
}

// TestNoEndpointIsThere: these are refused also where a prefix would have them.
func TestNoEndpointIsThere(t *testing.T) {
	t.Parallel()
	for _, allow := range []Addresses{{}, {Private: true}, {Prefixes: prefixes("0.0.0.0/0 ::/0")}} {
		for _, addr := range []string{
			"169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "fd00:ec2::254", "fd00:ec2::23",
			"127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "0.1.2.3", "::", "fe80::1%eth0", "224.0.0.1", "239.1.1.1",
			"ff02::1", "255.255.255.255", "64:ff9b::169.254.169.254", "64:ff9b::127.0.0.1", "::169.254.169.254",
		} {
			if err := allow.Check(netip.MustParseAddr(addr)); err == nil || !strings.Contains(err.Error(), "no VPC endpoint has such an address") {
				t.Errorf("%+v, %s: error %v, want it refused", allow, addr, err)
			}
		}
	}
}
