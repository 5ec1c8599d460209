package relayd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// TestDialerRefusesWhatDNSShouldNotSay: the name is allowed and leads to an
// address that is not.
func TestDialerRefusesWhatDNSShouldNotSay(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	outside, err := parsePrefixes([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	for name, limits := range map[string][]endpoint.Addresses{
		"by default":          {{}},
		"one limit allows it": {{Prefixes: outside}, {}},
	} {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		_, err := dialer(limits...).DialContext(t.Context(), "tcp", "localhost:"+port)
		var refusal *relay.Error
		if !errors.As(err, &refusal) || refusal.Kind != relay.KindDenied || !refusal.Permanent() || refusal.Hop() != "relay" {
			t.Errorf("%s: error %v, want the relay's final refusal", name, err)
		}
	}
}

// TestRefusedAddressIsTheClientsError: what the relay thinks of an address is
// told on the laptop.
func TestRefusedAddressIsTheClientsError(t *testing.T) {
	t.Parallel()
	near, far := duplex(t)
	s := &relay.Server{
		Allow: func(string) error { return nil },
		Dial:  dialer(endpoint.Addresses{}).DialContext,
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), far) }()
	c, err := relay.NewClient(t.Context(), near, "test")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.DialContext(t.Context(), "tcp", "127.0.0.1:443")
	want := relay.Error{Kind: relay.KindDenied, Target: "127.0.0.1:443", Reason: "127.0.0.1 may not be dialled: " +
		"no VPC endpoint has such an address; see what answers for this name on the bastion (resolver, /etc/hosts)"}
	var got *relay.Error
	if !errors.As(err, &got) || *got != want {
		t.Errorf("error %v, want %+v", err, want)
	}
	c.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestWrongPrefixIsNamed(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	code := Program{Stdin: strings.NewReader(""), Stdout: &stderr, Stderr: &stderr}.Run(t.Context(), []string{"-prefixes", "10.0.0.0/8,pl-6da54004"})
	if want := `ddbproxy-relay: -prefixes: "pl-6da54004" is no prefix such as 52.94.24.0/23`; code != 2 || strings.TrimSpace(stderr.String()) != want {
		t.Errorf("exit %d, %q; want 2, %q", code, &stderr, want)
	}
}
