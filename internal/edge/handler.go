package edge

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxBody bounds a request body in bytes: the 16 MB of BatchWriteItem and some slack.
const maxBody = 17 << 20

// serveHTTP is one request: count, authenticate, authorise, break or pass on.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	now := s.now()
	if isSTS(r) {
		s.sts(now, w, r)
		return
	}
	if r.Method == http.MethodGet && r.URL.Path == "/" {
		a := newAnswer()
		_, _ = io.WriteString(a, "healthy: "+r.TLS.ServerName)
		a.complete(now)
		a.send(w, Pass)
		return
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	vpce, _ := r.Context().Value(vpceKey{}).(string)
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return // the client has left, or sent less than it said
	}
	s.seen.received(op, vpce, r)
	a, action := s.handle(now, r, op, vpce, body)
	a.compress(r.Header.Values("Accept-Encoding"))
	a.complete(now)
	s.logger().Debug("request", "op", op, "vpce", vpce, "status", a.status, "bytes", a.body.Len(), "action", int(action))
	a.send(w, action)
}

// handle gives the answer and how to send it.
func (s *Server) handle(now time.Time, r *http.Request, op, vpce string, body []byte) (*answer, Action) {
	if len(body) > maxBody {
		s.seen.denied(op)
		return refuse(&apiError{http.StatusRequestEntityTooLarge, "com.amazon.coral.service#RequestEntityTooLargeException", ""}), Pass
	}
	user, deny := s.authenticate(now, r, body)
	if deny == nil {
		deny = s.Policy.check(s.region(), user, vpce, op, body)
	}
	if deny != nil {
		s.seen.denied(op)
		return refuse(deny), Pass
	}
	n := s.seen.authorised(op)
	action := Pass
	if s.Fault != nil {
		action = s.Fault(op, n)
	}
	switch {
	case action == DropRequest:
		panic(http.ErrAbortHandler)
	case action == Answer500 || s.Backend == nil:
		return refuse(internalError()), Pass
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	a := newAnswer()
	s.Backend.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK) // if the backend wrote nothing
	s.seen.handled(op, a.status)
	return a, action
}
