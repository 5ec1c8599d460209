package edge

import (
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Seen is what a Server has counted.
type Seen struct {
	// Ops counts calls by operation; a request without X-Amz-Target counts as "".
	Ops map[string]Count
	// OpenConns are the connections open now, Conns all that were accepted.
	OpenConns, Conns int
	// Handshakes are the TLS handshakes, Resumed those of them from a session ticket.
	Handshakes, Resumed int
	// Requests are the last ones, oldest first.
	Requests []Request
}

// Count is how often an operation was called. A call that a Fault kept from the
// backend is neither Applied nor Failed.
type Count struct {
	Received int // arrived whole
	Denied   int // refused by signature or policy
	Applied  int // done by the backend with a 2xx, whether or not the answer was sent
	Failed   int // refused by the backend
}

// Request is what is kept of a request. Header has no signature and no token.
type Request struct {
	Op     string
	Vpce   string // the VPC endpoint it came through
	Client string // the client's address
	Host   string
	Header http.Header
}

// ledger is the counting behind Seen.
type ledger struct {
	mu      sync.Mutex
	keep    int
	seen    Seen
	calls   map[string]int  // authorised ones, for Fault
	closing bool            // new connections are closed at once
	waiting []chan struct{} // closed when no connection is open
}

// count changes one operation's count.
func (l *ledger) count(op string, change func(*Count)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen.Ops == nil {
		l.seen.Ops = map[string]Count{}
	}
	c := l.seen.Ops[op]
	change(&c)
	l.seen.Ops[op] = c
}

func (l *ledger) received(op, vpce string, r *http.Request) {
	l.count(op, func(c *Count) { c.Received++ })
	if l.keep < 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.seen.Requests) == l.keep {
		l.seen.Requests = slices.Delete(l.seen.Requests, 0, 1)
	}
	l.seen.Requests = append(l.seen.Requests, Request{op, vpce, r.RemoteAddr, r.Host, withoutSecrets(r.Header)})
}

func (l *ledger) denied(op string) { l.count(op, func(c *Count) { c.Denied++ }) }

func (l *ledger) handled(op string, status int) {
	l.count(op, func(c *Count) {
		if status < 300 {
			c.Applied++
		} else {
			c.Failed++
		}
	})
}

// authorised gives how many authorised calls of op there were, this one included.
func (l *ledger) authorised(op string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = map[string]int{}
	}
	l.calls[op]++
	return l.calls[op]
}

// connState is the http.Server's ConnState.
func (l *ledger) connState(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew:
		l.seen.Conns++
		l.seen.OpenConns++
		if l.closing {
			// Accepted while http.Server.Close walked its list, this one was not on it.
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		l.seen.OpenConns--
		if l.seen.OpenConns == 0 {
			for _, done := range l.waiting {
				close(done)
			}
			l.waiting = nil
		}
	}
}

// handshake is the tls.Config's VerifyConnection; it refuses nothing.
func (l *ledger) handshake(cs tls.ConnectionState) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.Handshakes++
	if cs.DidResume {
		l.seen.Resumed++
	}
	return nil
}

func (l *ledger) refuseNew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
}

// drained is closed as soon as no connection is open.
func (l *ledger) drained() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := make(chan struct{})
	if l.seen.OpenConns == 0 {
		close(done)
	} else {
		l.waiting = append(l.waiting, done)
	}
	return done
}

func (l *ledger) snapshot() Seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.seen
	s.Ops = maps.Clone(s.Ops)
	s.Requests = slices.Clone(s.Requests)
	return s
}

// withoutSecrets copies headers, with dots for the signature and the session token.
func withoutSecrets(h http.Header) http.Header {
	h = h.Clone()
	for i, v := range h["Authorization"] {
		before, _, found := strings.Cut(v, "Signature=")
		if found {
			before += "Signature="
		} else {
			before = "" // some other scheme: all of it may be secret
		}
		h["Authorization"][i] = before + "…"
	}
	for i := range h["X-Amz-Security-Token"] {
		h["X-Amz-Security-Token"][i] = "…"
	}
	return h
}
