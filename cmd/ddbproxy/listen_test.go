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
		{addr: "0", host: "127.0.0.1", url: "http://localhost"},
		{addr: "localhost:0", host: "127.0.0.1", url: "http://localhost"},
		{addr: "127.0.0.1:0", host: "127.0.0.1", url: "http://127.0.0.1"},
		{addr: "[::1]:0", host: "::1", url: "http://[::1]"},
		{addr: "127.0.0.1:0", anywhere: true, host: "127.0.0.1", url: "http://127.0.0.1"},
		{addr: "[::ffff:127.0.0.1]:0", host: "127.0.0.1", url: "http://127.0.0.1"},
		{addr: "0.0.0.0:0"},
		{addr: "[::]:0"},
		{addr: "[::ffff:0.0.0.0]:0"},
		{addr: "192.0.2.1:0"},
		{addr: ":0"},
		{addr: ":0", anywhere: true},
		{addr: "host.docker.internal:0", anywhere: true},
		{addr: "0.0.0.0", anywhere: true},
		{addr: "0.0.0.0:0", anywhere: true, host: "0.0.0.0", url: "http://127.0.0.1", exposed: true},
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

// Where clients may take localhost for an address that is another program's, it
// is not what they are told.
func TestURLIsOursWhateverLocalhostIs(t *testing.T) {
	other, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("there is no ::1 here: %v", err)
	}
	defer other.Close()
	_, port, _ := net.SplitHostPort(other.Addr().String())
	if ls, err := listen([]string{port}, false); err == nil {
		t.Errorf("port %s was taken for ours: %v", port, ls)
	}
	ls, err := listen([]string{"127.0.0.1:" + port}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer ls[0].Close()
	if got := endpointURL(ls); got != "http://127.0.0.1:"+port {
		t.Errorf("clients are told %s", got)
	}
}

func portOf(url string) string { return sessionInfo{URL: url}.port() }
