package main

import (
	"io"
	"net"
	"net/http"
	"sync"
)

// outside is the laptop's own way to AWS: an HTTP proxy whose AWS is the stage's
// front door. A script puts it into HTTPS_PROXY, or nothing that is sent past the
// bastion would stay on this machine.
func (s *stage) outside() (url string, end func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var open sync.WaitGroup
	var mu sync.Mutex
	var taken []net.Conn // which server.Close does not know any more
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		far, err := net.Dial("tcp", s.internet.String())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			far.Close()
			return
		}
		mu.Lock()
		taken = append(taken, near, far)
		mu.Unlock()
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		join := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			to.Close()
			from.Close()
		}
		open.Go(func() { join(far, near) })
		open.Go(func() { join(near, far) })
	})}
	open.Go(func() { _ = server.Serve(l) })
	return "http://" + l.Addr().String(), func() {
		server.Close()
		mu.Lock()
		for _, conn := range taken { // clients keep them for later
			conn.Close()
		}
		mu.Unlock()
		open.Wait()
	}, nil
}
