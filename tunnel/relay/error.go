package relay

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// Kind says why the relay did not open a connection, in the terms of
// RFC 9209, section 2.3.
type Kind string

// The kinds that a relay sends.
const (
	KindDenied   Kind = "http_request_denied"
	KindDNS      Kind = "dns_error"
	KindRefused  Kind = "connection_refused"
	KindTimeout  Kind = "connection_timeout"
	KindNoRoute  Kind = "destination_ip_unroutable"
	KindLimit    Kind = "connection_limit_reached"
	KindInternal Kind = "proxy_internal_error"
)

// Error is the relay's refusal to open one connection. The relay itself is
// well and other connections go on.
type Error struct {
	Kind   Kind
	Target string // host:port
	Reason string // one printable line from the relay
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s", e.Target, e.Reason)
}

// Hop names the part of the path that failed: "relay" where it refused, "dns"
// where the bastion could not resolve the name, "aws" where the name was
// resolved and the endpoint could not be reached from there.
func (e *Error) Hop() string {
	switch e.Kind {
	case KindDNS:
		return "dns"
	case KindRefused, KindTimeout, KindNoRoute:
		return "aws"
	}
	return "relay"
}

// Permanent reports whether asking again is pointless.
func (e *Error) Permanent() bool { return e.Kind == KindDenied }

var statusOf = map[Kind]int{
	KindDenied:   http.StatusForbidden,
	KindDNS:      http.StatusBadGateway,
	KindRefused:  http.StatusBadGateway,
	KindNoRoute:  http.StatusBadGateway,
	KindTimeout:  http.StatusGatewayTimeout,
	KindLimit:    http.StatusServiceUnavailable,
	KindInternal: http.StatusInternalServerError,
}

// classify turns the error of a dial into a kind and a reason that names the
// address tried. An *Error in it has both: Server.Dial itself refused.
func classify(err error) (Kind, string) {
	var own *Error
	if errors.As(err, &own) {
		return own.Kind, own.Reason
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		server := ""
		if dns.Server != "" {
			server = " (asked " + dns.Server + ")"
		}
		return KindDNS, "the bastion cannot resolve this name: " + dns.Err + server
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return KindTimeout, "no answer to the bastion in time: a security group, network ACL or route stops it (" + err.Error() + ")"
	}
	if strings.Contains(err.Error(), "refused") {
		return KindRefused, "connection from the bastion refused: " + err.Error()
	}
	return KindNoRoute, "not reachable from the bastion: " + err.Error()
}

// proxyStatus writes, and kindOf reads, the one member and one parameter of
// Proxy-Status that this protocol uses.
func proxyStatus(k Kind) string { return serverRole + "; error=" + string(k) }

func kindOf(h http.Header) Kind {
	for k := range statusOf {
		if h.Get("Proxy-Status") == proxyStatus(k) {
			return k
		}
	}
	return KindInternal
}
