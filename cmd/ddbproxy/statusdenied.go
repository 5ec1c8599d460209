package main

import (
	"fmt"
	"io"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy"
	"github.com/ddbproxy/ddbproxy/proxy/denial"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// deniedStatus is the part of sessionStatus about calls that AWS denied: how
// many since the session began, and the last.
type deniedStatus struct {
	Count     int64        `json:"count"`
	Time      time.Time    `json:"last_time"`
	Operation string       `json:"operation"`
	Cause     denial.Cause `json:"cause"`
	Why       string       `json:"why"`
	Remedy    string       `json:"remedy"`
	denial.Denial
}

func newDeniedStatus(d proxy.Denials) *deniedStatus {
	s := &deniedStatus{Count: d.Count, Time: d.Last.Time.Round(time.Second), Operation: d.Last.Op, Cause: d.Last.Cause(d.Last.Path), Denial: d.Last.Denial}
	s.Why, s.Remedy = d.Last.Explain(d.Last.Path)
	return s
}

// print shows d for a person.
func (d *deniedStatus) print(w io.Writer, now time.Time) {
	safe := func(text string) string { return relay.Printable(text, 1000) }
	calls := "1 call, "
	if d.Count > 1 {
		calls = fmt.Sprintf("%d calls, the last ", d.Count)
	}
	fmt.Fprintf(w, "  AWS denied %s%s ago (%s): %s\n", calls, age(now.Sub(d.Time)), safe(d.Operation), safe(d.Why))
	fmt.Fprintf(w, "    %s\n", safe(d.Remedy))
}
