package relay

import (
	"io"
	"runtime"
	"sync"
	"time"
)

const (
	// maxBatch bounds what waits to be written.
	maxBatch = 256 << 10
	// largeWrite is not worth a copy: it is a packet by itself.
	largeWrite = 8 << 10

	// After a pause TCP begins anew with ten segments (RFC 5681, section 4.1, and RFC
	// 6928), and what does not fit waits for a round trip. So whatever is less than a
	// segment goes out a beat behind what went before at first, and each beat is twice
	// as long as the last: five such pieces at most. A ping or two are a pause still.
	pause   = 200 * time.Millisecond // the least retransmission timeout of Linux
	pings   = 3
	outset  = 25 * time.Millisecond
	beat    = time.Millisecond
	segment = 1400
)

// batch is a stream that writes small pieces together. HTTP/2 writes each frame by
// itself, and each would be a system call, an ssh packet and a TCP segment, and as
// much again where it arrives.
type batch struct {
	io.ReadWriteCloser

	mu      sync.Mutex
	changed sync.Cond
	pending []byte
	free    []byte // the other buffer
	writing bool
	closed  bool
	err     error
}

func newBatch(rw io.ReadWriteCloser) *batch {
	b := &batch{ReadWriteCloser: rw}
	b.changed.L = &b.mu
	return b
}

// Write returns when p may be used again; what comes of it may be the error of a
// later Write.
func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	large := len(p) >= largeWrite
	for (len(b.pending) >= maxBatch || large && b.writing) && !b.ended() {
		b.changed.Wait()
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case b.closed:
		return 0, io.ErrClosedPipe
	case large:
		b.write(p)
		return len(p), b.err
	}
	b.pending = append(b.pending, p...)
	b.changed.Broadcast()
	return len(p), nil
}

// run writes what is pending until Close or an error.
func (b *batch) run() {
	b.mu.Lock()
	defer b.mu.Unlock()
	var began time.Time            // the first write since a pause
	var wrote [pings + 1]time.Time // the last ones, the latest last
	var space time.Duration        // between the last one and the next
	for !b.ended() {
		if len(b.pending) == 0 || b.writing {
			b.changed.Wait()
			continue
		}
		now := time.Now()
		if now.Sub(wrote[0]) > pause && now.Sub(began) > outset {
			began, space = now, 0
		}
		var rest time.Duration
		if early := outset - now.Sub(began); early > 0 && len(b.pending) < segment {
			rest = min(early, space-now.Sub(wrote[pings]))
			space = max(2*space, beat)
		}
		b.mu.Unlock()
		if rest > 0 {
			time.Sleep(rest)
		} else {
			runtime.Gosched() // whoever else can write now does so first
		}
		b.mu.Lock()
		if !b.writing && !b.ended() {
			b.write(nil)
		}
		copy(wrote[:], wrote[1:])
		wrote[pings] = time.Now()
	}
}

// write writes what is pending, and then p.
func (b *batch) write(p []byte) {
	small := b.pending
	b.pending, b.writing = b.free[:0], true
	b.changed.Broadcast() // there is room
	b.mu.Unlock()
	var err error
	if len(small) > 0 {
		_, err = b.ReadWriteCloser.Write(small)
	}
	if err == nil && len(p) > 0 {
		_, err = b.ReadWriteCloser.Write(p)
	}
	b.mu.Lock()
	b.free, b.writing, b.err = small, false, err
	b.changed.Broadcast()
}

// ended reports whether nothing is written any more.
func (b *batch) ended() bool { return b.closed || b.err != nil }

// Close drops what is not written yet.
func (b *batch) Close() error {
	b.mu.Lock()
	b.closed = true
	b.changed.Broadcast()
	b.mu.Unlock()
	return b.ReadWriteCloser.Close()
}
