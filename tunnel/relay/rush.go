package relay

import (
	"io"
	"sync"
)

// Most connections wait most of the time, and hold little memory meanwhile; where
// much comes it is read in large pieces. HTTP/2 sends a frame for each piece, and
// a WINDOW_UPDATE back for it, and each of them is an ssh packet.
const (
	restBuffer = 4 << 10
	rushBuffer = 64 << 10
)

var rushBuffers = sync.Pool{New: func() any {
	b := make([]byte, rushBuffer)
	return &b
}}

// rush reads src in pieces that are as large as what comes.
type rush struct {
	src    io.Reader
	buffer *[]byte // nil unless much comes
	on     bool    // the last piece was large
}

// next reads a piece, into small unless much comes. It is valid until the next
// call, or end.
func (r *rush) next(small []byte) ([]byte, error) {
	buf := small
	if !r.on {
		r.end()
	} else {
		if r.buffer == nil {
			r.buffer = rushBuffers.Get().(*[]byte)
		}
		buf = *r.buffer
	}
	n, err := r.src.Read(buf)
	r.on = n == len(buf) || n >= restBuffer
	return buf[:n], err
}

// end gives the large buffer away.
func (r *rush) end() {
	if r.buffer != nil {
		rushBuffers.Put(r.buffer)
		r.buffer = nil
	}
}

// pump gives all that comes from src to write, until either fails.
func pump(src io.Reader, write func([]byte) error) error {
	r := rush{src: src}
	defer r.end()
	for small := make([]byte, restBuffer); ; {
		piece, err := r.next(small)
		if len(piece) > 0 {
			if werr := write(piece); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// inbound reads for somebody whose own pieces are small.
type inbound struct {
	rush
	rest []byte // of a piece, not yet given away
}

func (in *inbound) read(p []byte) (int, error) {
	if len(in.rest) == 0 {
		piece, err := in.next(p)
		if in.buffer == nil { // it is in p
			return len(piece), err
		}
		if in.rest = piece; len(piece) == 0 {
			return 0, err
		} // or else the error comes again
	}
	n := copy(p, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}
