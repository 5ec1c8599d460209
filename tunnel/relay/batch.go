package relay

import (
	"io"
	"sync"
)

// maxBatch bounds what waits to be written.
const maxBatch = 256 << 10

// batch is a stream that writes what was written meanwhile in one piece. HTTP/2 writes each frame
// by itself, and each would be an ssh packet, a system call and a TCP segment here
// and as much again on the bastion.
type batch struct {
	io.ReadWriteCloser

	mu      sync.Mutex
	changed sync.Cond
	pending []byte
	free    []byte // the other buffer
	closed  bool
	err     error
}

func newBatch(rw io.ReadWriteCloser) *batch {
	b := &batch{ReadWriteCloser: rw}
	b.changed.L = &b.mu
	return b
}

// Write returns when p may be used again; what comes of it is the error of a later
// Write.
func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pending) >= maxBatch && b.err == nil && !b.closed {
		b.changed.Wait()
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case b.closed:
		return 0, io.ErrClosedPipe
	}
	b.pending = append(b.pending, p...)
	b.changed.Broadcast()
	return len(p), nil
}

// run writes until Close or an error.
func (b *batch) run() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		for len(b.pending) == 0 && !b.closed {
			b.changed.Wait()
		}
		if b.closed {
			return
		}
		piece := b.pending
		b.pending = b.free[:0]
		b.mu.Unlock()
		_, err := b.ReadWriteCloser.Write(piece)
		b.mu.Lock()
		b.free = piece
		b.err = err
		b.changed.Broadcast()
		if err != nil {
			return
		}
	}
}

// Close drops what is not written yet.
func (b *batch) Close() error {
	b.mu.Lock()
	b.closed = true
	b.changed.Broadcast()
	b.mu.Unlock()
	return b.ReadWriteCloser.Close()
}
