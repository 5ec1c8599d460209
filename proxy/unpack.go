package proxy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"sync"
)

const (
	// maxUnpacked bounds an answer's body, packed and unpacked. The largest that DynamoDB gives are the 16 MB of a
	// BatchGetItem; in JSON that is a quarter more for bytes in base64 and up to four times as much for tiny numbers.
	maxUnpacked = 64 << 20
	// maxKept bounds the buffers kept for later: a page of 1 MB fits, the rare large ones are left to the collector.
	maxKept = 4 << 20
)

// errUnusable is the error of a compressed answer that arrived and makes no sense.
var errUnusable = errors.New("the compressed answer is unusable")

var (
	unzippers = sync.Pool{New: func() any { return new(gzip.Reader) }}
	pages     = sync.Pool{New: func() any { return new(page) }}
)

// A page is an unpacked body; Close gives its buffer back.
type page struct{ bytes.Buffer }

func (p *page) Close() error {
	if p.Cap() <= maxKept {
		p.Reset()
		pages.Put(p)
	}
	return nil
}

// unpack makes a gzip answer what it would have been without: body, Content-Length and X-Amz-Crc32, whose value on the
// wire covers the packed bytes. The two stand in the header and so go first: the body is taken whole, while it arrives.
// Neither may have more than most bytes. On success the body as received is closed. The error is errUnusable, or that of
// the connection.
func unpack(resp *http.Response, most int64) error {
	w := &wire{r: io.LimitReader(resp.Body, most)}
	p := pages.Get().(*page)
	if err := p.fill(w, most); err != nil {
		p.Close()
		if w.err != nil {
			return fmt.Errorf("the answer broke: %w", w.err)
		}
		return fmt.Errorf("%w: %v", errUnusable, err) // not %w: its EOF is not the connection's
	}
	h := resp.Header
	if sum := h.Get("X-Amz-Crc32"); sum != "" {
		if got := strconv.FormatUint(uint64(w.crc), 10); got != sum {
			p.Close()
			return fmt.Errorf("%w: its X-Amz-Crc32 is %s, its bytes give %s", errUnusable, oneLine(sum, 20), got)
		}
		h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(p.Bytes())), 10))
	}
	h.Del("Content-Encoding")
	h.Set("Content-Length", strconv.Itoa(p.Len()))
	resp.ContentLength = int64(p.Len())
	resp.Body.Close() // it has been read to its end
	resp.Body = p
	return nil
}

// fill unpacks all of w, to its end: the connection can be used again then.
func (p *page) fill(w *wire, most int64) error {
	z := unzippers.Get().(*gzip.Reader)
	defer unzippers.Put(z)
	if err := z.Reset(w); err != nil {
		return err
	}
	n, err := p.ReadFrom(io.LimitReader(z, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("it unpacks to more than %d bytes", most)
	}
	return err
}

// A wire is a body as it arrives, with the checksum of what was read and the connection's error.
type wire struct {
	r   io.Reader
	crc uint32
	err error
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.crc = crc32.Update(w.crc, crc32.IEEETable, b[:n])
	if err != io.EOF {
		w.err = err
	}
	return n, err
}
