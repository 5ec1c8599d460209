//go:build linux

package e2e

import (
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/edge"
)

// attempt is one request of a call, as the SDK that made it numbers it.
type attempt struct{ op, call, number string }

func attemptOf(h http.Header) attempt {
	_, op, _ := strings.Cut(h.Get("X-Amz-Target"), ".")
	return attempt{op, h.Get("Amz-Sdk-Invocation-Id"), h.Get("Amz-Sdk-Request")}
}

// tally counts how often AWS received each attempt.
type tally struct {
	mu       sync.Mutex
	received map[attempt]int
}

// behind is a change of an edge.Server: it counts all that its backend gets.
func (t *tally) behind(s *edge.Server) {
	next := s.Backend
	s.Backend = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		if t.received == nil {
			t.received = map[attempt]int{}
		}
		t.received[attemptOf(r.Header)]++
		t.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (t *tally) of(a attempt) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.received[a]
}

// total is how many requests came in all.
func (t *tally) total() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, times := range t.received {
		n += times
	}
	return n
}

// answered is an attempt that a client has made and what ddbproxy said to it.
type answered struct {
	attempt
	status int // 0: nothing
	body   string
}

// notes are an SDK's HTTP client that writes down what it sends into the list
// that the call's context carries.
type notes struct{ next dynamodb.HTTPClient }

type notesKey struct{}

// noting is a client's option.
func noting(o *dynamodb.Options) { o.HTTPClient = notes{o.HTTPClient} }

func (n notes) Do(r *http.Request) (*http.Response, error) {
	list, _ := r.Context().Value(notesKey{}).(*[]answered)
	note := answered{attempt: attemptOf(r.Header)}
	resp, err := n.next.Do(r)
	if err == nil {
		var body []byte
		if body, err = io.ReadAll(resp.Body); err == nil {
			note.status, note.body = resp.StatusCode, string(body)
		}
		resp.Body.Close()
		resp.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	if list != nil {
		*list = append(*list, note)
	}
	return resp, err
}

var _ aws.HTTPClient = notes{}
