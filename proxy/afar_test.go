package proxy

import (
	"context"
	"net"
	"net/http"
	"testing"
)

func TestCallersFromAfar(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	s, _ := newServer(t, f)
	s.Hosts = []string{"host.docker.internal"}
	for _, tt := range []struct {
		name, local, remote string
		host                string
		served, tunnelled   bool
	}{
		{"loopback", "127.0.0.1:8000", "127.0.0.1:5000", "localhost:8000", true, true},
		{"IPv4 on an IPv6 socket", "[::ffff:127.0.0.1]:8000", "[::ffff:127.0.0.1]:5000", "127.0.0.1:8000", true, true},
		{"another machine", "192.0.2.2:8000", "192.0.2.1:5000", "192.0.2.2:8000", true, false},
		{"another machine, mapped", "[::ffff:192.0.2.2]:8000", "[::ffff:192.0.2.1]:5000", "192.0.2.2:8000", true, false},
		{"another machine, IPv6", "[fe80::2%eth0]:8000", "[fe80::1%eth0]:5000", "[fe80::2]:8000", true, false},
		{"this machine by its address", "192.0.2.2:8000", "192.0.2.2:5000", "192.0.2.2:8000", true, false},
		{"a forwarded port", "172.17.0.2:8000", "127.0.0.1:5000", "172.17.0.2:8000", true, false},
		{"the name given", "192.0.2.2:8000", "192.0.2.1:5000", "host.docker.internal:8000", true, false},
		{"another name", "192.0.2.2:8000", "192.0.2.1:5000", "rebound.example:8000", false, false},
		{"another address", "192.0.2.2:8000", "192.0.2.1:5000", "192.0.2.3:8000", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			local, err := net.ResolveTCPAddr("tcp", tt.local)
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(local))
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+tt.host+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.RemoteAddr = tt.remote
			want := http.StatusOK
			if !tt.served {
				want = http.StatusForbidden
			}
			if w := ask(s, r); w.Code != want {
				t.Errorf("answer %d %s, want %d", w.Code, w.Body, want)
			}
			if got := fromAfar(r); got == tt.tunnelled {
				t.Errorf("fromAfar = %v", got)
			}
		})
	}
}
