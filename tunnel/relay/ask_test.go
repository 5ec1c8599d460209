package relay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestQuestionsAreAnswered(t *testing.T) {
	c := pair(t, &Server{Allow: allowAll, Questions: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path+" "+r.URL.Query().Get("name"))
	})})
	answer, err := c.Ask(t.Context(), "/place?name=a.b")
	if string(answer) != "/place a.b" || err != nil {
		t.Errorf("Ask = %q, %v", answer, err)
	}
	// Connections go on beside it.
	conn, err := c.DialContext(t.Context(), "tcp", listen(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// A relay of an earlier version is like this, too.
func TestRelayWithoutAnswersRefusesQuestions(t *testing.T) {
	c := pair(t, &Server{Allow: allowAll})
	_, err := c.Ask(t.Context(), "/place")
	var refused *Error
	if !errors.As(err, &refused) || refused.Kind != KindDenied || !strings.Contains(refused.Reason, "only CONNECT") {
		t.Errorf("Ask = %v, want a refusal", err)
	}
}

func TestAnswerThatIsTooLong(t *testing.T) {
	c := pair(t, &Server{Questions: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, maxAnswer+1))
	})})
	if _, err := c.Ask(t.Context(), "/place"); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("Ask = %v, want an error about its size", err)
	}
}

func TestQuestionEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	c := pair(t, &Server{Questions: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := c.Ask(ctx, "/place"); !errors.Is(err, context.Canceled) {
		t.Errorf("Ask = %v, want %v", err, context.Canceled)
	}
}

func TestQuestionToALostRelay(t *testing.T) {
	c := pair(t, &Server{})
	c.Close()
	if _, err := c.Ask(t.Context(), "/place"); !errors.Is(err, ErrClosed) {
		t.Errorf("Ask = %v, want %v", err, ErrClosed)
	}
}
