package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy"
	"github.com/ddbproxy/ddbproxy/proxy/denial"
)

func TestStatusExplainsTheLastDenial(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 1, 2, 3, 0, time.UTC)
	d := proxy.Denials{Count: 3, Last: proxy.Denied{Time: at, Op: "GetItem", Denial: denial.Parse(
		"User: arn:aws:iam::123456789012:user/dev is not authorized to perform: dynamodb:GetItem on resource: " +
			"arn:aws:dynamodb:eu-west-1:123456789012:table/music because no VPC endpoint policy allows the dynamodb:GetItem action")}}
	s := sessionStatus{URL: "http://localhost:8000", Region: "eu-west-1", Denied: newDeniedStatus(d)}
	var text strings.Builder
	s.print(&text, at.Add(12*time.Second))
	want := `http://localhost:8000  eu-west-1
  AWS denied 3 calls, the last 12s ago (GetItem): the VPC endpoint's own policy does not allow dynamodb:GetItem
    have it allow the call: aws ec2 describe-vpc-endpoints shows it, ddbproxy policy --endpoint-policy prints one
`
	if text.String() != want {
		t.Errorf("print\n%s\nwant\n%s", &text, want)
	}
	got, err := json.Marshal(s.Denied)
	if err != nil {
		t.Fatal(err)
	}
	const asJSON = `{"count":3,"last_time":"2026-11-26T01:02:03Z","operation":"GetItem","cause":"endpoint_policy",` +
		`"why":"the VPC endpoint's own policy does not allow dynamodb:GetItem",` +
		`"remedy":"have it allow the call: aws ec2 describe-vpc-endpoints shows it, ddbproxy policy --endpoint-policy prints one",` +
		`"policy":"vpc_endpoint","explicit":false,"action":"dynamodb:GetItem","principal":"arn:aws:iam::123456789012:user/dev",` +
		`"resource":"arn:aws:dynamodb:eu-west-1:123456789012:table/music"}`
	if string(got) != asJSON {
		t.Errorf("JSON\n%s\nwant\n%s", got, asJSON)
	}
	d.Count = 1
	d.Last.Op = "Get\x1b[2JItem"
	text.Reset()
	newDeniedStatus(d).print(&text, at)
	if !strings.HasPrefix(text.String(), "  AWS denied 1 call, 0s ago (Get[2JItem): ") {
		t.Errorf("print %q", text.String())
	}
}
