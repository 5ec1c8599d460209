//go:build linux

package e2e

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// A client on another machine (the bastion has to be it) reaches a ddbproxy that
// is told to listen anywhere, must sign like any other, and gets no proxy mode.
func TestCallersOnAnotherMachine(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect("--listen", "0.0.0.0:8000,[::1]:8000", "--listen-anywhere", "--listen-name", "ddb.internal")
	contains(r, s.stderr.String(), "other machines can reach the port", "0.0.0.0:8000")

	afar := r.Dialer(lab.Bastion)
	there := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return afar(ctx, network, net.JoinHostPort(lab.LaptopAddr, "8000"))
	}
	client := func(host string, options ...func(*dynamodb.Options)) *dynamodb.Client {
		return r.sdkOver(&http.Transport{DialContext: there, DisableCompression: true}, append(options, once, func(o *dynamodb.Options) {
			o.BaseEndpoint = aws.String("http://" + host + ":8000")
		})...)
	}
	for _, host := range []string{lab.LaptopAddr, "ddb.internal"} {
		if _, err := client(host).ListTables(t.Context(), nil); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
	forged := func(o *dynamodb.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(keyID, "another secret", "")
	}
	unknown := func(o *dynamodb.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider("AKIASOMEBODYELSE0000", secret, "")
	}
	for _, tt := range []struct {
		name, host, want string
		options          []func(*dynamodb.Options)
	}{
		{"another name", "rebound.example", "the Host header is not an address of this proxy", nil},
		{"another secret", lab.LaptopAddr, "InvalidSignatureException", []func(*dynamodb.Options){forged}},
		{"another key", lab.LaptopAddr, "UnrecognizedClientException", []func(*dynamodb.Options){unknown}},
	} {
		_, err := client(tt.host, tt.options...).ListTables(t.Context(), nil)
		if err == nil {
			t.Errorf("%s: answered", tt.name)
			continue
		}
		contains(r, err.Error(), tt.want)
	}
	proxy := http.ProxyURL(&url.URL{Scheme: "http", Host: lab.LaptopAddr + ":8000"})
	if _, err := r.sdkOver(&http.Transport{DialContext: there, Proxy: proxy}, once).ListTables(t.Context(), nil); err == nil {
		t.Error("proxy mode served another machine")
	} else {
		contains(r, err.Error(), "proxy mode is for callers on ddbproxy's own machine")
	}
	if _, err := r.gosdkProxyMode(once).ListTables(t.Context(), nil); err != nil {
		t.Errorf("proxy mode on the laptop: %v", err)
	}
	if got := r.applied("ListTables"); got != 3 {
		t.Errorf("DynamoDB answered %d times, want 3", got)
	}
}
