package tunnel

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// errNobody answers questions when there is nobody left to answer them.
var errNobody = errors.New("nobody is asked while ddbproxy is at work")

// interview lets several logins ask the one person there is in turn, and
// forbids it from the moment when the person has been told that all is well.
type interview struct {
	several bool       // logins there are
	mu      sync.Mutex // held while a question is open
	over    atomic.Bool
}

func newInterview(clients []*Client) *interview {
	q := &interview{several: len(clients) > 1}
	for _, c := range clients {
		if c.Prompter != nil {
			c.Prompter = turn{q, c.Prompter}
		}
	}
	return q
}

// end waits for the answer to an open question; there are none after it.
func (q *interview) end() {
	q.over.Store(true)
	q.mu.Lock()
	defer q.mu.Unlock()
}

// turn is the Prompter of one login among several.
type turn struct {
	*interview
	prompter Prompter
}

func (t turn) Ask(ctx context.Context, question string, secret bool) (string, error) {
	if err := t.begin(ctx); err != nil {
		return "", err
	}
	defer t.mu.Unlock()
	return t.prompter.Ask(ctx, question, secret)
}

// begin waits until no question is open, and takes mu for one unless it returns
// an error.
func (q *interview) begin(ctx context.Context) error {
	q.mu.Lock()
	var err error
	switch {
	case ctx.Err() != nil: // while another question was open
		err = context.Cause(ctx)
	case q.over.Load():
		err = errNobody
	}
	if err != nil {
		q.mu.Unlock()
	}
	return err
}
