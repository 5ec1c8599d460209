package proxy

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
)

const deniedBody = `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User: arn:aws:iam::123456789012:user/dev ` +
	`is not authorized to perform: dynamodb:GetItem on resource: arn:aws:dynamodb:eu-west-1:123456789012:table/music ` +
	`because no identity-based policy allows the dynamodb:GetItem action"}`

func gzipped(t *testing.T, body string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDenialsAreCountedAndPassUnchanged(t *testing.T) {
	t.Parallel()
	large := `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","Item":{"a":{"S":"` + strings.Repeat("AccessDeniedException", 5000) + `"}}}`
	for _, tt := range []struct {
		name    string
		status  int
		coding  string
		chunked bool
		body    string
		denied  bool
	}{
		{"denied", 400, "", false, deniedBody, true},
		{"of unknown length", 400, "", true, deniedBody, true},
		{"in gzip", 400, "gzip", false, gzipped(t, deniedBody), true},
		{"answered", 200, "", false, deniedBody, false},
		{"another error", 400, "", false, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"AccessDeniedException"}`, false},
		{"large", 400, "", false, large, false},
		{"large, of unknown length", 400, "", true, large, false},
		{"empty", 400, "", false, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAWS(t)
			f.answer(func(w http.ResponseWriter, r *http.Request) {
				if tt.coding != "" {
					w.Header().Set("Content-Encoding", tt.coding)
				}
				if tt.chunked {
					w.Header().Set("Trailer", "X-None") // which makes net/http send chunks
				}
				awsAnswer(w, tt.status, tt.body)
			})
			s, log := newServer(t, f)
			w := ask(s, by("DDBPROXYSESSION00001", "sessionsecret", "", "eu-west-1")(t))
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("the caller got %d and %d bytes, want %d and %d as AWS sent them", w.Code, w.Body.Len(), tt.status, len(tt.body))
			}
			got := s.Denials()
			if !tt.denied {
				if got != (Denials{}) || strings.Contains(log.String(), "denied=") {
					t.Errorf("denials: %+v; log: %s", got, log)
				}
				return
			}
			if age := time.Since(got.Last.Time); age < 0 || age > time.Minute {
				t.Errorf("it was %v ago", age)
			}
			got.Last.Time = time.Time{}
			want := Denials{1, Denied{Op: "GetItem", Denial: denial.Denial{
				Policy: denial.Identity, Action: "dynamodb:GetItem", Principal: "arn:aws:iam::123456789012:user/dev",
				Resource: "arn:aws:dynamodb:eu-west-1:123456789012:table/music",
			}}}
			if got != want {
				t.Errorf("denials\n%+v, want\n%+v", got, want)
			}
			if line := log.String(); !strings.Contains(line, `denied=identity_policy why="no IAM policy of the caller allows dynamodb:GetItem, or only through a VPC endpoint"`) ||
				strings.Contains(line, "user/dev") {
				t.Errorf("log: %s", line)
			}
		})
	}
}

// An interface endpoint's name leads nowhere else, so the path is not in doubt.
func TestPathOfAnInterfaceEndpointIsKnown(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	f.answer(func(w http.ResponseWriter, r *http.Request) { awsAnswer(w, http.StatusBadRequest, deniedBody) })
	s, log := newServer(t, f)
	s.Endpoint = "vpce-0123456789abcdef0-abcd1234.dynamodb.eu-west-1.vpce.amazonaws.com"
	ask(s, by("DDBPROXYSESSION00001", "sessionsecret", "", "eu-west-1")(t))
	if got := s.Denials(); got.Last.Path != denial.Through {
		t.Errorf("path = %d, want through; %s", got.Last.Path, log)
	}
}
