package endpoint

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// Allow says which addresses may be dialled: DynamoDB endpoints on port 443. Its zero value allows every region of every
// known partition and no PrivateLink name.
type Allow struct {
	// Regions narrows the names to these regions; empty allows all. A gateway endpoint serves its own region only, so
	// a name of another one would leave the VPC by another door.
	Regions []string
	// VPCE lists the PrivateLink names allowed: ids of interface endpoints ("vpce-0abc123") or complete names.
	// Another account's endpoint is a way to carry data out, so none is allowed by default.
	VPCE []string
	// Kinds lists the kinds of names allowed; empty allows all. A name of several kinds needs all of them.
	Kinds []Kind
}

// RefusedError is returned by Allow.Check. Err is the *NameError where the name is not DynamoDB's at all.
type RefusedError struct {
	Addr string
	Why  string // what is wrong, and what to do about it
	Err  error
}

func (e *RefusedError) Error() string { return quote(e.Addr) + " may not be dialled: " + e.Why }
func (e *RefusedError) Unwrap() error { return e.Err }

// Check returns nil when addr ("host:port") may be dialled, else a *RefusedError.
func (a Allow) Check(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return &RefusedError{Addr: addr, Why: "an address is host:port"}
	}
	if port != "443" {
		return &RefusedError{Addr: addr, Why: "only port 443 is served; DynamoDB's plain HTTP is not"}
	}
	ep, err := Parse(host)
	if err != nil {
		why := err.Error()
		if name, ok := err.(*NameError); ok {
			why = "not a DynamoDB endpoint: " + name.Reason
		}
		return &RefusedError{Addr: addr, Why: why, Err: err}
	}
	if len(a.Regions) > 0 && !slices.Contains(a.Regions, ep.Region) {
		return &RefusedError{Addr: addr, Why: "region " + ep.Region + " is not among the allowed ones (" +
			strings.Join(a.Regions, ", ") + "); allow it only where its VPC endpoint is"}
	}
	for _, kind := range ep.Kinds() {
		if len(a.Kinds) > 0 && !slices.Contains(a.Kinds, kind) {
			return &RefusedError{Addr: addr, Why: "endpoints of kind " + string(kind) + " are not among the allowed ones"}
		}
	}
	if ep.VPCE != "" && !a.allowsVPCE(ep) {
		return &RefusedError{Addr: addr, Why: "interface endpoint " + ep.VPCE + " is not among the allowed ones; add its id if it is yours"}
	}
	return nil
}

func (a Allow) allowsVPCE(ep Endpoint) bool {
	return slices.ContainsFunc(a.VPCE, func(v string) bool {
		v = strings.ToLower(strings.TrimSuffix(v, "."))
		return v == ep.VPCE || v == ep.Host
	})
}

// IsVPCE reports whether s can stand in Allow.VPCE: an interface endpoint's id, or a complete name of one for DynamoDB.
func IsVPCE(s string) bool {
	if strings.Contains(s, ".") {
		ep, err := Parse(s)
		return err == nil && ep.VPCE != ""
	}
	id, ok := strings.CutPrefix(strings.ToLower(s), "vpce-")
	return ok && id != "" && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// quote makes a name that came from outside safe to print: one line, ASCII, bounded.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
