package endpoint

import (
	"net/netip"
	"slices"
	"strings"
)

// Addresses says which IP addresses may be dialled for a name that Allow has passed: whoever answers for the bastion's DNS
// must not choose them. Its zero value refuses only what no endpoint has: loopback, link-local (the instance's metadata
// and credentials), multicast, unspecified and AWS's own fd00:ec2::/32.
type Addresses struct {
	// Prefixes narrows the addresses to these: the region's prefix list for a gateway endpoint, or the VPC's subnets.
	Prefixes []netip.Prefix
	// Private narrows them to private ranges, where interface endpoints are (RFC 1918, RFC 6598, RFC 4193), and to Prefixes
	// where there are some.
	Private bool
}

// AddressError is returned by Addresses.Check.
type AddressError struct {
	Addr netip.Addr
	Why  string // what is wrong, and what to do about it
}

func (e *AddressError) Error() string { return e.Addr.String() + " may not be dialled: " + e.Why }

var (
	never = prefixes("0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 224.0.0.0/4 255.255.255.255/32" +
		" ::/128 ::1/128 fe80::/10 fec0::/10 ff00::/8 fd00:ec2::/32")
	private = prefixes("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7")
	// Addresses in the lowest 32 bits of which a gateway finds an IPv4 one (RFC 6052, RFC 4291 section 2.5.5.1).
	embedding = prefixes("64:ff9b::/96 ::/96")
)

// Check returns nil when addr may be dialled, else an *AddressError.
func (a Addresses) Check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if within(never, addr) || within(embedding, addr) && within(never, embedded(addr)) {
		return &AddressError{addr, "no VPC endpoint has such an address; see what answers for this name on the bastion (resolver, /etc/hosts)"}
	}
	if len(a.Prefixes) == 0 && !a.Private || within(a.Prefixes, addr) || a.Private && within(private, addr) {
		return nil
	}
	allowed := make([]string, 0, len(a.Prefixes)+1)
	for _, p := range a.Prefixes {
		allowed = append(allowed, p.String())
	}
	if a.Private {
		allowed = append(allowed, "private addresses")
	}
	if len(allowed) > 6 {
		allowed = append(allowed[:6], "…")
	}
	return &AddressError{addr, "it is not among the allowed ones (" + strings.Join(allowed, ", ") +
		"), so this would not pass the VPC endpoint; see the endpoint's route tables or private DNS, or allow its prefix"}
}

func within(ps []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func embedded(addr netip.Addr) netip.Addr {
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

func prefixes(list string) []netip.Prefix {
	var ps []netip.Prefix
	for s := range strings.FieldsSeq(list) {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}
