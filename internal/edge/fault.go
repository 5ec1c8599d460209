package edge

import (
	"net/http"
	"strconv"
)

// Action is what happens to one request beyond the ordinary.
type Action int

// The faults that real parts do not make on demand.
const (
	// Pass does nothing.
	Pass Action = iota
	// DropRequest closes the connection before the backend sees the request.
	DropRequest
	// DropAnswer lets the backend do its work, then closes without an answer.
	DropAnswer
	// CutAnswer lets the backend do its work, then closes in the middle of the body.
	CutAnswer
	// Answer500 answers InternalServerError, and the backend sees nothing.
	Answer500
)

// send writes the answer as the action wants it. It panics with
// http.ErrAbortHandler where the connection must break.
func (a *answer) send(w http.ResponseWriter, action Action) {
	if action == DropAnswer {
		panic(http.ErrAbortHandler)
	}
	body := a.body.Bytes()
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if action == CutAnswer {
		_, _ = w.Write(body[:len(body)/2])
		// Without the flush net/http might hold the half back with the rest.
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body) // a client that has left is nobody to tell
}
