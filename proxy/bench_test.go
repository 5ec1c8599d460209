package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// BenchmarkVerifyAndSign is what a GetItem costs here besides moving bytes: hash, verify, route, sign anew.
func BenchmarkVerifyAndSign(b *testing.B) {
	s, _ := newServer(b, newFakeAWS(b))
	s.init()
	r := signed(b, "GetItem", getItem, profileKey, "eu-west-1")
	r.Host = r.URL.Host
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		c, err := parseAuthorization(r.Header.Get("Authorization"))
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256([]byte(getItem))
		hash := hex.EncodeToString(sum[:])
		creds, err := s.proved(ctx, r, c, hash)
		if err != nil {
			b.Fatal(err)
		}
		call, err := s.route(r, c.region, []byte(getItem))
		call.by = s.identities[0]
		if err != nil || call.service != endpoint.DynamoDB {
			b.Fatal(call, err)
		}
		s.outgoing(ctx, r, call, hash, creds)
	}
}

// BenchmarkGetItem is a whole request over loopback TCP on kept-alive connections, with TLS between proxy and AWS.
func BenchmarkGetItem(b *testing.B) {
	f := newFakeAWS(b)
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		awsAnswer(w, http.StatusOK, okBody)
	}))
	upstream.StartTLS()
	b.Cleanup(upstream.Close)
	s, _ := newServer(b, f)
	s.Logger = slog.New(slog.DiscardHandler)
	s.RootCAs = upstream.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	s.RootCAs.AddCert(upstream.Certificate())
	s.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, upstream.Listener.Addr().String())
	}
	s.Regions = nil
	// The test server's certificate is for example.com; only here is the name not DynamoDB's.
	s.init()
	s.endpoint = endpoint.Endpoint{Service: endpoint.DynamoDB, Region: "eu-west-1", Host: "example.com"}
	addr := listen(b, s)
	client := &http.Transport{DisableCompression: true}
	b.Cleanup(client.CloseIdleConnections)
	template := signed(b, "GetItem", getItem, profileKey, "eu-west-1")
	template.Host, template.URL.Host = template.URL.Host, addr
	b.ReportAllocs()
	for b.Loop() {
		r := template.Clone(context.Background())
		r.Body = io.NopCloser(strings.NewReader(getItem))
		resp, err := client.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status, err)
		}
		resp.Body.Close()
	}
}
