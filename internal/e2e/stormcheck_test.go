//go:build linux

package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// resends is how often ddbproxy sends again, at most, what may be repeated.
const resends = 3

// check compares what clients sent and were told with what AWS received and
// DynamoDB has.
func (s *storm) check(t *testing.T, faults int) {
	t.Helper()
	items := s.items(*s.table)
	statuses, replayed, sent := map[int]int{}, 0, 0
	for _, call := range s.calls {
		if len(call.sent) == 0 {
			t.Errorf("%s was not sent", call.write)
			continue
		}
		received := 0
		for _, a := range call.sent {
			got := s.tally.of(a.attempt)
			received += got
			sent++
			statuses[a.status]++
			if got > 1 {
				replayed++
			}
			if least, most := mayHaveReceived(call.write, a); got < least || got > most {
				t.Errorf("%s, answered with %d %s: AWS received it %d times, want from %d to %d", call.write, a.status, a.body, got, least, most)
			}
		}
		s.checkItem(t, call, items[call.key], received)
	}
	for key, owners := range s.winners() {
		if len(owners) > 1 {
			t.Errorf("%s was given to %q, want one", key, owners)
		}
	}
	for op, n := range s.aws.Seen().Ops {
		if n.Denied != 0 {
			t.Errorf("AWS denied %d calls of %s", n.Denied, op)
		}
	}
	t.Logf("%d faults; %d calls, %d attempts, answered with %v; %d transactions sent again by ddbproxy", faults, len(s.calls), sent, statuses, replayed)
	if statuses[http.StatusOK] < sent/3 || statuses[http.StatusInternalServerError] < faults/2 || replayed < faults/4 {
		t.Error("this was no storm")
	}
}

// mayHaveReceived is how often AWS may have received an attempt, by its answer.
func mayHaveReceived(write string, a answered) (least, most int) {
	most = 1
	if write == "transaction" {
		most = 1 + resends // its token makes it the same transaction
	}
	unsure := strings.Contains(a.body, "may or may not have happened") || write == "transaction" && strings.Contains(a.body, "it may be sent again")
	switch {
	case a.status == http.StatusOK:
		return 1, most
	case a.status == http.StatusBadRequest && strings.Contains(a.body, "ConditionalCheckFailedException"):
		return 1, most
	case a.status == http.StatusInternalServerError && unsure:
		return 0, most
	case a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "nothing was sent"):
		return 0, 0
	case a.status == http.StatusServiceUnavailable && write == "transaction" && strings.Contains(a.body, "it was sent before"):
		return 0, most
	}
	return -1, -1 // no answer, or none that is known
}

// checkItem compares a call with the item that it was about, of which AWS
// received so many attempts.
func (s *storm) checkItem(t *testing.T, call *stormCall, item row, received int) {
	t.Helper()
	last, unsure := call.sent[len(call.sent)-1], 0
	for _, a := range call.sent {
		if a.status == http.StatusInternalServerError {
			unsure++
		}
	}
	number, _ := item["n"].(*types.AttributeValueMemberN)
	n := 0
	if number != nil {
		n, _ = strconv.Atoi(number.Value)
	}
	owned := textOf(item) == call.owner
	switch call.write {
	case "increment":
		if n != received {
			t.Errorf("%s is at %d after AWS received %d increments", call.key, n, received)
		}
	case "transaction":
		if want := min(received, 1); n != want {
			t.Errorf("%s is at %d after AWS received %d times the same transaction, want %d", call.key, n, received, want)
		}
	case "claim":
		if received > 0 && item == nil {
			t.Errorf("%s is not there although AWS received a claim", call.key)
		}
		if last.status == http.StatusOK && !owned {
			t.Errorf("%s was given to %s and is %q", call.key, call.owner, textOf(item))
		}
		// A refusal of one's own item is that of a second attempt, after a first
		// of unknown fate.
		if last.status == http.StatusBadRequest && owned && (call.once || unsure == 0) {
			t.Errorf("%s was refused to %s, whose it is: the claim came twice", call.key, call.owner)
		}
	}
}

// winners are those whose claims were acknowledged, by what they claimed.
func (s *storm) winners() map[string][]string {
	owners := map[string][]string{}
	for _, call := range s.calls {
		if call.write == "claim" && call.sent[len(call.sent)-1].status == http.StatusOK {
			owners[call.key] = append(owners[call.key], call.owner)
		}
	}
	return owners
}
