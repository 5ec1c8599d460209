package proxy

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestRedialLeavesWhatIsUnderWayAndConnectsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		call := func() {
			t.Helper()
			if w := ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1")); w.Code != http.StatusOK {
				t.Fatalf("answer = %d %s, want 200", w.Code, w.Body)
			}
			synctest.Wait()
		}
		call()
		call()
		if got := f.dialled(); got != 1 {
			t.Fatalf("%d connections for two calls, want 1", got)
		}
		arrived, answer, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
		f.answer(func(w http.ResponseWriter, _ *http.Request) {
			close(arrived)
			<-answer
			awsAnswer(w, http.StatusOK, "{}")
		})
		go func() {
			defer close(answered)
			if w := ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1")); w.Code != http.StatusOK {
				t.Errorf("the call under way: %d %s, want 200", w.Code, w.Body)
			}
		}()
		<-arrived
		s.Redial()
		f.answer(func(w http.ResponseWriter, _ *http.Request) { awsAnswer(w, http.StatusOK, "{}") })
		call()
		if got := f.dialled(); got != 2 {
			t.Errorf("%d connections, want a second one after Redial", got)
		}
		close(answer)
		<-answered
		synctest.Wait()
		call()
		if got := f.dialled(); got != 2 {
			t.Errorf("%d connections, want none after the second: the first is not used again", got)
		}
	})
}

func TestRedialRenewsSpares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		if err := s.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := f.dialled()
		s.Redial()
		time.Sleep(spareLull)
		synctest.Wait()
		if got := f.dialled() - before; got != 2 || s.spares.count() != 2 {
			t.Errorf("%d new connections and %d spares, want 2 and 2", got, s.spares.count())
		}
	})
}
