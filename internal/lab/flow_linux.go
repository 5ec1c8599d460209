package lab

import (
	"bytes"
	"sync"
)

// flow is a TCP connection by its two addresses and ports, the lesser end
// first, so that both directions have the same.
type flow [12]byte

// nat is a link's memory of connections. Until it forgets it lets all pass.
type nat struct {
	mu    sync.Mutex
	fresh map[flow]bool // connections begun since it forgot; nil before
}

// Forget makes the link drop, from now on and without a word, the packets of all
// TCP connections that are open, as a NAT does that has lost its table. New
// connections get through.
func (l *Link) Forget() {
	l.nat.mu.Lock()
	defer l.nat.mu.Unlock()
	l.nat.fresh = map[flow]bool{}
}

// drops reports whether an IP packet belongs to a forgotten connection.
func (n *nat) drops(p []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fresh == nil {
		return false
	}
	f, syn, ok := flowOf(p)
	if !ok {
		return false
	}
	if syn {
		n.fresh[f] = true
	}
	return !n.fresh[f]
}

// flowOf reads the headers of IPv4 (RFC 791) and TCP (RFC 9293). syn is true for
// the first packet of a connection; ok is false for what is not TCP.
func flowOf(p []byte) (f flow, syn, ok bool) {
	const tcp, flags, synBit, ackBit = 6, 13, 2, 16
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != tcp {
		return f, false, false
	}
	header := int(p[0]&15) * 4
	if len(p) <= header+flags {
		return f, false, false
	}
	segment := p[header:]
	from := append(bytes.Clone(p[12:16]), segment[0:2]...)
	to := append(bytes.Clone(p[16:20]), segment[2:4]...)
	if bytes.Compare(from, to) > 0 {
		from, to = to, from
	}
	copy(f[:6], from)
	copy(f[6:], to)
	return f, segment[flags]&(synBit|ackBit) == synBit, true
}
