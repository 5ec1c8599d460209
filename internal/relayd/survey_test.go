package relayd

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/survey"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// A relay looks up the names that it may dial, and no others: it is no way to ask
// the VPC's DNS.
func TestSurveyIsOfAllowedNames(t *testing.T) {
	near, far := duplex(t)
	var looked []string
	p := Program{Stdin: far, Stdout: far, Stderr: new(bytes.Buffer), Surveyor: &survey.Surveyor{Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
		looked = append(looked, name)
		return []netip.Addr{netip.MustParseAddr("10.0.0.53")}, nil
	}}}
	ended := make(chan int, 1)
	go func() { ended <- p.Run(context.Background(), []string{"-region", "eu-west-1"}) }()
	c, err := relay.NewClient(t.Context(), near, "test")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"dynamodb.eu-west-1.amazonaws.com": "",
		"dynamodb.us-east-1.amazonaws.com": "region us-east-1",
		"internal.example.com":             "not a DynamoDB endpoint",
	} {
		answer, err := c.Ask(t.Context(), survey.Question(name))
		if err != nil {
			t.Fatal(err)
		}
		found, err := survey.Read(answer)
		if err != nil || (want == "") != (found.Refused == "") || !strings.Contains(found.Refused, want) {
			t.Errorf("survey of %s is %+v, %v; want the refusal %q", name, found, err, want)
		}
	}
	c.Close()
	if code := <-ended; code != 0 {
		t.Errorf("exit %d", code)
	}
	if len(looked) != 1 {
		t.Errorf("looked up %q", looked)
	}
}
