package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// hopByHop are headers that concern one connection, not the answer (RFC 9110, section 7.6.1).
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// copyBuffers saves each answer 64 KiB, which is more than all else that it costs.
var copyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// stream writes an answer to the caller as it arrives, byte for byte, which X-Amz-Crc32 covers. An error after the header
// has gone out is for the caller to see as a broken body, never as a short one.
func stream(w http.ResponseWriter, resp *http.Response) (written int64, err error) {
	if resp.StatusCode < 200 || resp.StatusCode > 999 { // WriteHeader would panic
		return 0, fmt.Errorf("the answer's status %d is none", resp.StatusCode)
	}
	h := w.Header()
	// net/http adds these two where they are absent; a nil entry stops it.
	h["Content-Type"], h["Date"] = nil, nil
	named := strings.Split(strings.Join(resp.Header["Connection"], ","), ",")
	for name, values := range resp.Header {
		if !hopByHop[name] {
			h[name] = values
		}
	}
	for _, name := range named {
		h.Del(strings.TrimSpace(name))
	}
	w.WriteHeader(resp.StatusCode)
	flusher := http.NewResponseController(w)
	buf := copyBuffers.Get().(*[64 << 10]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := read(resp, buf[:])
		if n > 0 {
			m, werr := w.Write(buf[:n])
			written += int64(m)
			if werr == nil && written != resp.ContentLength { // the last piece goes out by itself
				werr = flusher.Flush()
			}
			if werr != nil {
				return written, fmt.Errorf("write to the caller: %w", werr)
			}
		}
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, fmt.Errorf("answer broke after %d bytes: %w", written, err)
		}
	}
}

// read reads a piece of an answer. TLS gives a large one in small pieces, each of which would be a system call of ours and
// one of the caller's: that fills p.
func read(resp *http.Response, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = resp.Body.Read(p[n:])
		n += m
		if resp.ContentLength <= int64(len(p)) {
			break
		}
	}
	return n, err
}
