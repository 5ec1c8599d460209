package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"
)

const (
	// maxHeader bounds an answer's header in bytes; DynamoDB's has some 300.
	maxHeader = 256 << 10
	// maxInformed is how many answers 1xx may come before the one that counts.
	maxInformed = 5
	// lastWord is how long an answer is waited for that was given before the request was written to its end.
	lastWord = time.Second
)

// An upstreamConn is a TLS connection to AWS, which carries one request at a time.
type upstreamConn struct {
	raw  *rawConn // under TLS
	addr string
	pool *pool // where it is given back; nil until it is lent

	w     *bufio.Writer // of requests
	r     *bufio.Reader // of answers
	limit *io.LimitedReader
	since time.Time // it has been idle; wall clock: a sleeping laptop's monotonic clock stands still
}

// newUpstreamConn is secure, which stands on raw.
func newUpstreamConn(secure io.ReadWriter, raw *rawConn, addr string) *upstreamConn {
	limit := &io.LimitedReader{R: secure}
	return &upstreamConn{raw: raw, addr: addr, w: bufio.NewWriter(secure), r: bufio.NewReader(limit), limit: limit}
}

// exchange sends a request and returns the head of its answer, whose body ends or closes the use of c. Where it fails c is
// closed, and wrote tells whether a byte of the request has left this machine. The end of r's context ends it all.
func (c *upstreamConn) exchange(r *http.Request) (resp *http.Response, wrote bool, err error) {
	before := c.raw.sent.Load()
	stop := context.AfterFunc(r.Context(), func() { c.raw.Close() })
	err = r.Write(c.w)
	if err == nil {
		err = c.w.Flush()
	}
	wrote = c.raw.sent.Load() != before
	switch {
	case err == nil:
		resp, err = c.answer(r)
	case wrote: // it may have been refused for its size, say
		late := time.AfterFunc(lastWord, func() { c.raw.Close() })
		early, unanswered := c.answer(r)
		if late.Stop() && unanswered == nil {
			early.Close = true
			resp, err = early, nil
		}
	}
	if err != nil {
		stop()
		c.raw.Close()
		return nil, wrote, err
	}
	body := &answerBody{body: resp.Body, conn: c, stop: stop, last: resp.Close || resp.StatusCode < 200}
	if resp.Body == http.NoBody {
		body.end(true)
	} else {
		resp.Body = body
	}
	return resp, true, nil
}

// answer reads the head of the answer to r.
func (c *upstreamConn) answer(r *http.Request) (*http.Response, error) {
	for range maxInformed {
		c.limit.N = maxHeader
		resp, err := http.ReadResponse(c.r, r)
		switch {
		case err != nil && c.limit.N <= 0:
			return nil, fmt.Errorf("the answer's header is longer than %d KiB", maxHeader>>10)
		case err != nil:
			return nil, err
		case resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols:
			c.limit.N = math.MaxInt64
			return resp, nil
		}
	}
	return nil, fmt.Errorf("more than %d answers came before the one that counts", maxInformed)
}

// answerBody is the body of an answer. Read to its end, it gives its connection back; closed before, it closes that one.
type answerBody struct {
	body  io.Reader
	conn  *upstreamConn
	stop  func() bool // the watch for the end of the request's context
	last  bool        // the connection is of no use after it
	ended bool
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil {
		b.end(err == io.EOF)
	}
	return n, err
}

func (b *answerBody) Close() error {
	b.end(false)
	return nil
}

func (b *answerBody) end(whole bool) {
	if b.ended {
		return
	}
	b.ended = true
	if undisturbed := b.stop(); whole && undisturbed && !b.last && b.conn.r.Buffered() == 0 {
		b.conn.pool.put(b.conn)
	} else {
		b.conn.raw.Close()
	}
}
