package relay

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds the answer to a question, in bytes.
const maxAnswer = 64 << 10

// Ask sends the relay's program a question about the far end, "/path?query", and
// returns its answer. The error is an *Error when the relay refused it, as one does
// that answers no questions, ErrClosed when the connection to it broke, or ctx's.
func (c *Client) Ask(ctx context.Context, question string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://relay"+question, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the relay: %w", err)
	}
	// The goroutine is Close's to wait for: it ends all streams.
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	if !c.launch(func() {
		text, err := c.ask(r)
		answered <- answer{text, err}
	}) {
		return nil, ErrClosed
	}
	select {
	case a := <-answered:
		return a.text, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *Client) ask(r *http.Request) ([]byte, error) {
	resp, err := c.h2.RoundTrip(r)
	if err != nil {
		return nil, c.lost(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal("question "+r.URL.Path, resp)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("the relay's answer is larger than %d bytes", maxAnswer)
	}
	return text, err
}
