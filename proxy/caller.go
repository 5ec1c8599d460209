package proxy

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// getKey is how a client comes by the session key; most refusals of a caller end in it.
const getKey = `run eval "$(ddbproxy env)" in its shell`

// guard refuses what a browser sends. A web page can make a browser send requests to localhost, and a name that it
// controls can be made to resolve here; the first show in Origin or Sec-Fetch-*, the second in Host. The signature check
// stops both too, this stops them before anything is read.
func (s *Server) guard(r *http.Request) error {
	forbid := func(message string) error {
		return &answer{status: http.StatusForbidden, kind: accessDenied, message: message, hangUp: true}
	}
	for name := range r.Header {
		if name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-") {
			return forbid("requests from web pages are refused (" + name + " is present); use an AWS SDK or the AWS CLI")
		}
	}
	if !s.isOurs(r.Host) && !cameTo(r) {
		return forbid("the Host header is not an address of this proxy; use http://localhost and its port as the endpoint URL, or start ddbproxy with --listen-name for another name")
	}
	return nil
}

// cameTo reports whether Host is the address at which the caller's connection arrived. An address, unlike a name, is
// nothing that a web page's owner can have resolve to another.
func cameTo(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return err == nil && ok && local.AddrPort().Addr().Unmap().WithZone("") == ip
}

// fromAfar reports whether the caller is, or may be, on another machine. What has no IP address is of this one.
func fromAfar(r *http.Request) bool {
	beyond := func(hostport string) bool {
		addr, err := netip.ParseAddrPort(hostport)
		return err == nil && !addr.Addr().Unmap().IsLoopback()
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return beyond(r.RemoteAddr) || ok && beyond(local.String())
}

// isOurs reports whether host, with or without a port, is loopback or an address that we listen on.
func (s *Server) isOurs(host string) bool {
	name := func(hostport string) string {
		if h, _, err := net.SplitHostPort(hostport); err == nil {
			hostport = h
		}
		return strings.TrimSuffix(strings.ToLower(strings.Trim(hostport, "[]")), ".")
	}
	h := name(host)
	if h == "" {
		return false
	}
	if h == "localhost" || strings.HasSuffix(h, ".localhost") { // RFC 6761: never anything but loopback
		return true
	}
	if ip, err := netip.ParseAddr(h); err == nil && ip.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(ours string) bool { return name(ours) == h })
}

// claimant is whom a caller claims to act for, and the secret that it claims to hold.
type claimant struct {
	*identity
	secret string
	creds  aws.Credentials // whose secret that is; none with a key of ours
}

// claimedBy returns the claimant: its secret is the session key's, or that of the profile's credentials. It comes before
// the body is read, so that nothing is kept for a caller who cannot be one, and tells it nothing that the provider of the
// credentials said: nothing is proved yet.
func (s *Server) claimedBy(ctx context.Context, r *http.Request, c claim) (claimant, error) {
	if len(s.identities) == 0 {
		return claimant{}, refusal(credentialsUnavailable,
			"ddbproxy was started without AWS credentials and cannot sign; restart it with --profile, or set HTTPS_PROXY to this address so that the client signs")
	}
	token := r.Header.Get("X-Amz-Security-Token")
	who, secret := s.byOwnKey(c.keyID)
	switch {
	case who != nil && token != "":
		return claimant{}, refusal(unrecognizedClient, "the key "+c.keyID+" comes without a session token; unset AWS_SESSION_TOKEN")
	case who != nil:
		return claimant{identity: who, secret: secret}, nil
	case strings.HasPrefix(c.keyID, SessionKeyPrefix):
		return claimant{}, refusal(unrecognizedClient, "access key "+brief(c.keyID)+" belongs to another session of ddbproxy; "+getKey)
	}
	who, creds, err := s.byKey(ctx, c.keyID)
	switch {
	case err != nil:
		return claimant{}, err
	case !equal(token, creds.SessionToken):
		return claimant{}, refusal(unrecognizedClient, "the session token is not the one that belongs to "+brief(c.keyID)+" now; "+getKey)
	}
	return claimant{who, creds.SecretAccessKey, creds}, nil
}

// authenticate proves that the caller holds the secret, and returns the credentials for the request to be signed with.
func (s *Server) authenticate(ctx context.Context, r *http.Request, c claim, who claimant, bodyHash string) (aws.Credentials, error) {
	if err := c.checkForm(r, bodyHash, s.clock); err != nil {
		return aws.Credentials{}, err
	}
	if !c.matches(r, bodyHash, who.derived.from(who.secret, c.day, c.region)) {
		return aws.Credentials{}, mismatch(c)
	}
	if who.creds.HasKeys() {
		return who.creds, nil
	}
	return s.credentials(ctx, who.identity)
}

func mismatch(c claim) error {
	return refusal(invalidSignature, "the signature does not match: the client has another secret key for "+brief(c.keyID)+
		", or something between client and ddbproxy changes requests; "+getKey)
}

// equal compares without telling by its time how much was right.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// brief shortens an access key id that is longer than AWS's are: it may be a secret put in the wrong place.
func brief(keyID string) string {
	if len(keyID) > 32 {
		return keyID[:4] + "…"
	}
	return keyID
}
