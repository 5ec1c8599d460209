package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const (
	// maxBody is above DynamoDB's own limit of 16 MB for a batch, which it is left to answer for.
	maxBody = 17 << 20
	// maxDrain is how much of a larger body is read, so that its sender, who reads no answer before it has sent
	// everything, sees ours.
	maxDrain = 64 << 20
	// maxBodies is what all bodies of more than smallBody together may hold at a time: nobody has proved a key before a
	// body is read, and batches in flight are far from it.
	maxBodies = 128 << 20
	smallBody = 64 << 10
	// bodyTimeout is what a body may take to arrive from this machine.
	bodyTimeout = time.Minute
)

var errCrowded = errors.New("too many large request bodies at a time")

// bodies counts the bytes of request bodies that are held, above smallBody each.
type bodies struct{ held atomic.Int64 }

// bodyShare reads one of them, and is its part of the whole until it is freed.
type bodyShare struct {
	all    *bodies
	source io.Reader
	n      int64
}

func (b *bodyShare) Read(p []byte) (int, error) {
	n, err := b.source.Read(p)
	before := max(b.n, smallBody)
	b.n += int64(n)
	if more := b.n - before; more > 0 && b.all.held.Add(more) > maxBodies {
		return n, errCrowded
	}
	return n, err
}

func (b *bodyShare) free() { b.all.held.Add(-max(0, b.n-smallBody)) }

// readBody reads a request's body whole: it must be hashed before the first byte may go on, and kept to be sent again.
func readBody(w http.ResponseWriter, r *http.Request, body io.Reader) ([]byte, error) {
	defer hurry(w)()
	tooLarge := &answer{status: http.StatusBadRequest, kind: validation,
		message: fmt.Sprintf("the request body is larger than %d MiB, the most that is carried; DynamoDB's own limit is 16 MB", maxBody>>20)}
	if r.ContentLength > maxDrain {
		tooLarge.hangUp = true
		return nil, tooLarge
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(min(r.ContentLength, 1<<20)) + bytes.MinRead) // no more on the word of a caller not yet known
	}
	n, err := b.ReadFrom(io.LimitReader(body, maxBody+1))
	if errors.Is(err, errCrowded) {
		return nil, &answer{status: http.StatusServiceUnavailable, kind: unavailable, message: "local: " + err.Error() +
			fmt.Sprintf(": %d MiB wait already to be sent; it was not sent to AWS and may be sent again", maxBodies>>20), hangUp: true}
	}
	if err == nil && n > maxBody {
		b.Reset()
		n, err = io.Copy(io.Discard, io.LimitReader(r.Body, maxDrain-maxBody))
		if err == nil {
			tooLarge.hangUp = n == maxDrain-maxBody
			return nil, tooLarge
		}
	}
	if err != nil {
		// The sender has most likely gone; if not, it shall not see a body of its own making cut short.
		message := "the request body could not be read to its end"
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			message = "the request body is shorter than its Content-Length; nothing was sent to AWS"
		case errors.Is(err, os.ErrDeadlineExceeded):
			message = fmt.Sprintf("the request body did not arrive within %v; nothing was sent to AWS", bodyTimeout)
		}
		return nil, &answer{status: http.StatusBadRequest, kind: validation, message: message, hangUp: true}
	}
	return b.Bytes(), nil
}

// discardBody reads what is left of the body of a request that is refused: its sender may read no answer before it has
// sent everything. Nothing is kept.
func discardBody(w http.ResponseWriter, r *http.Request) {
	defer hurry(w)()
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // whatever stops it, the answer is tried
}

// hurry gives the body bodyTimeout to arrive; the function returned takes that back. Left set, the deadline would end the
// watch for the caller's leaving, and with that the request. Not every ResponseWriter has deadlines.
func hurry(w http.ResponseWriter) (relax func()) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	return func() { _ = rc.SetReadDeadline(time.Time{}) }
}
