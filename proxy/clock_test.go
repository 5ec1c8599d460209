package proxy

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestClockIsLearntFromAWSAndARefusedDateIsSignedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		// This machine is an hour slow. AWS refuses what is more than 5 minutes off.
		awsNow := func() time.Time { return time.Now().Add(time.Hour) }
		f.answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", awsNow().UTC().Format(http.TimeFormat))
			date, err := time.Parse(amzDateFmt, r.Header.Get("X-Amz-Date"))
			if err != nil || awsNow().Sub(date).Abs() > 5*time.Minute {
				awsAnswer(w, http.StatusBadRequest, `{"__type":"InvalidSignatureException"}`)
				return
			}
			awsAnswer(w, http.StatusOK, okBody)
		})
		for n, wantSent := range []int{2, 3} {
			w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
			if w.Code != http.StatusOK || len(f.requests()) != wantSent {
				t.Fatalf("write %d: answer = %d %s after %d requests, want 200 after %d", n, w.Code, w.Body, len(f.requests()), wantSent)
			}
		}
		w := ask(s, withHeader("Authorization")(t))
		if got, want := w.Header().Get("Date"), awsNow().UTC().Format(http.TimeFormat); got != want {
			t.Errorf("Date of our own answer = %s, want AWS's time %s", got, want)
		}
		// A client that has moved its clock to AWS's is in time, one between the two is not.
		for ahead, want := range map[time.Duration]bool{0: true, time.Hour: true, -4 * time.Minute: true, 64 * time.Minute: true, 30 * time.Minute: false, 66 * time.Minute: false} {
			if got := s.clock.near(time.Now().Add(ahead)); got != want {
				t.Errorf("a date %v ahead is near = %v, want %v", ahead, got, want)
			}
		}
	})
}

func TestARefusalWithTheRightDateIsNotSentAgain(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		awsAnswer(w, http.StatusBadRequest, `{"__type":"ConditionalCheckFailedException"}`)
	})
	s, _ := newServer(t, f)
	w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
	if w.Code != http.StatusBadRequest || len(f.requests()) != 1 || !strings.Contains(w.Body.String(), "ConditionalCheckFailed") {
		t.Errorf("answer = %d %s after %d requests, want AWS's own 400 after 1", w.Code, w.Body, len(f.requests()))
	}
}

func TestADateThatJumpsEachTimeIsFollowedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS(t)
		off := time.Duration(0)
		f.answer(func(w http.ResponseWriter, r *http.Request) {
			off += time.Hour
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			awsAnswer(w, http.StatusBadRequest, `{"__type":"InvalidSignatureException"}`)
		})
		s, _ := newServer(t, f)
		w := ask(s, signed(t, "PutItem", getItem, profileKey, "eu-west-1"))
		if w.Code != http.StatusBadRequest || len(f.requests()) != 2 {
			t.Errorf("answer = %d after %d requests, want AWS's 400 after 2", w.Code, len(f.requests()))
		}
	})
}
