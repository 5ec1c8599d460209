package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// One port, both protocols, and each connection for more than one request.
func TestSniffing(t *testing.T) {
	ca, err := openLocalCA(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(ca.cert)
	for _, tt := range []struct {
		name   string
		ca     *localCA
		scheme string
		roots  *x509.CertPool
		err    string
	}{
		{"http", nil, "http", nil, ""},
		{"https without --tls", nil, "https", trusted, "handshake failure"},
		{"http beside https", ca, "http", nil, ""},
		{"https", ca, "https", trusted, ""},
		{"https without trust", ca, "https", x509.NewCertPool(), "certificate signed by unknown authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ls, err := listen([]string{"127.0.0.1:0"}, false)
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })}
			var serving sync.WaitGroup
			serving.Go(func() { server.Serve(&sniffing{ls[0], tt.ca, slog.New(slog.DiscardHandler)}) })
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: tt.roots}}}
			defer func() {
				client.CloseIdleConnections()
				server.Close()
				serving.Wait()
			}()
			url := tt.scheme + strings.TrimPrefix(endpointURL(ls), "http")
			for _, text := range []string{"short", strings.Repeat("long", 100_000)} {
				resp, err := client.Post(url, "text/plain", strings.NewReader(text))
				if err != nil {
					if tt.err == "" || !strings.Contains(err.Error(), tt.err) {
						t.Fatalf("%v, want %q", err, tt.err)
					}
					continue
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != text || tt.err != "" {
					t.Errorf("%d bytes came back, %v; want %d and the error %q", len(got), err, len(text), tt.err)
				}
			}
		})
	}
}
