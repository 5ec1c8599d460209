package edge

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestFaultsBreakWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		action Action
		want   string // of the client: status and body or error
		count  Count
	}{
		{"pass", Pass, `200 {"TableNames":[]}`, Count{Received: 1, Applied: 1}},
		{"drop the request", DropRequest, "EOF", Count{Received: 1}},
		{"drop the answer", DropAnswer, "EOF", Count{Received: 1, Applied: 1}},
		{"cut the answer", CutAnswer, `200 {"TableN unexpected EOF`, Count{Received: 1, Applied: 1}},
		{"answer 500", Answer500, `500 {"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"The request processing has failed because of an unknown error, exception or failure."}`, Count{Received: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := open(t, &Server{Fault: func(op string, n int) Action {
				if op == "ListTables" && n == 1 {
					return c.action
				}
				return Pass
			}})
			got := ""
			resp, err := d.client(t, d.internet).Do(signed(t, "ListTables", `{}`, time.Now(), longTerm()))
			switch {
			case errors.Is(err, io.EOF):
				got = "EOF"
			case err != nil:
				t.Fatal(err)
			default:
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				got = fmt.Sprint(resp.StatusCode, " ", string(body))
				if err != nil {
					got += " " + err.Error()
				}
			}
			if got != c.want {
				t.Errorf("client saw %s, want %s", got, c.want)
			}
			if count := d.Seen().Ops["ListTables"]; count != c.count {
				t.Errorf("counts %+v, want %+v", count, c.count)
			}
			// The second call has no fault.
			if resp, body := send(t, d.client(t, d.internet), signed(t, "ListTables", `{}`, time.Now(), longTerm())); resp.StatusCode != 200 {
				t.Errorf("second call: %d %s", resp.StatusCode, body)
			}
		})
	}
}

func TestFaultIsNotAskedAboutDeniedCalls(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Policy: Policy{SourceVpce: vpce}, Fault: func(op string, n int) Action {
		if n != 1 {
			t.Errorf("fault asked about call %d of %s, want 1", n, op)
		}
		return Answer500
	}})
	send(t, d.client(t, d.internet), signed(t, "ListTables", `{}`, time.Now(), longTerm()))
	if _, body := send(t, d.client(t, d.vpc), signed(t, "ListTables", `{}`, time.Now(), longTerm())); !strings.Contains(body, "InternalServerError") {
		t.Errorf("answer %s, want the fault's", body)
	}
}
