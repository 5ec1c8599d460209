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

// pump gives all that comes from src to write, until either fails.
func pump(src io.Reader, write func([]byte) error) error {
	rest := make([]byte, restBuffer)
	for rush := false; ; {
		buf := rest
		var large *[]byte
		if rush {
			large = rushBuffers.Get().(*[]byte)
			buf = *large
		}
		n, err := src.Read(buf)
		rush = n >= restBuffer
		var werr error
		if n > 0 {
			werr = write(buf[:n])
		}
		if large != nil {
			rushBuffers.Put(large)
		}
		switch {
		case werr != nil:
			return werr
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// inbound reads src for a reader whose own pieces are small.
type inbound struct {
	src    io.Reader
	buffer *[]byte // nil unless much comes
	rest   []byte  // of buffer, not yet given away
	rush   bool    // the last read was large
}

func (in *inbound) read(p []byte) (int, error) {
	if len(in.rest) == 0 && !in.rush {
		n, err := in.src.Read(p)
		in.rush = n == len(p)
		return n, err
	}
	var err error
	if len(in.rest) == 0 {
		if in.buffer == nil {
			in.buffer = rushBuffers.Get().(*[]byte)
		}
		var n int
		n, err = in.src.Read(*in.buffer)
		in.rest, in.rush = (*in.buffer)[:n], n >= restBuffer
	}
	n := copy(p, in.rest)
	in.rest = in.rest[n:]
	if len(in.rest) == 0 && !in.rush {
		rushBuffers.Put(in.buffer)
		in.buffer = nil
	}
	if n > 0 {
		err = nil // it comes again
	}
	return n, err
}
