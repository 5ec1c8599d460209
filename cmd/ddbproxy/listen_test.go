package main

import (
	"net"
	"slices"
	"testing"
)

func TestListen(t *testing.T) {
	for _, tt := range []struct {
		addr     string
		anywhere bool
		host     string // listened on; empty: refused
		url      string // without its port
		exposed  bool
	}{
		{addr: "127.0.0.1:0", host: "127.0.0.1", url: "http://localhost"},
		{addr: "localhost:0", host: "127.0.0.1", url: "http://localhost"},
		{addr: "127.0.0.1:0", anywhere: true, host: "127.0.0.1", url: "http://localhost"},
		{addr: "[::ffff:127.0.0.1]:0", host: "127.0.0.1", url: "http://localhost"},
		{addr: "0.0.0.0:0"},
		{addr: "[::]:0"},
		{addr: "[::ffff:0.0.0.0]:0"},
		{addr: "192.0.2.1:0"},
		{addr: ":0"},
		{addr: ":0", anywhere: true},
		{addr: "host.docker.internal:0", anywhere: true},
		{addr: "0.0.0.0", anywhere: true},
		{addr: "0.0.0.0:0", anywhere: true, host: "0.0.0.0", url: "http://localhost", exposed: true},
	} {
		ls, err := listen([]string{tt.addr}, tt.anywhere)
		if err != nil {
			if tt.host != "" {
				t.Errorf("%s, anywhere %v: %v", tt.addr, tt.anywhere, err)
			}
			continue
		}
		got := ls[0].Addr().(*net.TCPAddr)
		if url := endpointURL(ls); got.IP.String() != tt.host || url != tt.url+":"+portOf(url) {
			t.Errorf("%s, anywhere %v: listens on %v as %s, want %s as %s", tt.addr, tt.anywhere, got, url, tt.host, tt.url)
		}
		if addrs := exposed(ls); slices.Contains(addrs, got.String()) != tt.exposed {
			t.Errorf("%s: exposed are %v", tt.addr, addrs)
		}
		for _, l := range ls {
			l.Close()
		}
	}
}

func portOf(url string) string { return sessionInfo{URL: url}.port() }
