//go:build linux

package e2e

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// A way is how a client is told to go through ddbproxy.
type way struct {
	name string
	// session has the client run `eval "$(ddbproxy env)"` and find no other keys.
	session bool
	// proxy sets HTTPS_PROXY and no endpoint URL.
	proxy bool
}

var ways = []way{
	{name: "own keys"},
	{name: "session key", session: true},
	{name: "proxy mode", proxy: true},
}

// through runs a client's program on the laptop, told to go one way.
func (r *rig) through(w way, name string, args ...string) outcome {
	r.tb.Helper()
	switch {
	case w.session:
		name, args = inSession(name, args...)
		return r.client(withoutKeys(), name, args...)
	case w.proxy:
		return r.client(r.proxyMode(), name, args...)
	}
	return r.client([]string{"AWS_ENDPOINT_URL_DYNAMODB=" + localURL}, name, args...)
}

// storyLines is what the client scripts print for a story that went well.
var storyLines = []string{
	`{"op":"list","result":[]}`,
	`{"op":"create","result":"music"}`,
	`{"op":"put","result":{"pk":"a","text":"first"}}`,
	`{"op":"get","result":{"pk":"a","text":"first"}}`,
	`{"op":"query","result":[{"pk":"a","text":"first"}]}`,
	`{"op":"batch-write","result":25}`,
	`{"op":"query","result":[{"pk":"batch-0","text":"0"}]}`,
	`{"op":"delete-table","result":"music"}`,
	`{"op":"list","result":[]}`,
}

func (r *rig) storyByScript(t *testing.T, w way, script string) {
	t.Helper()
	got := r.through(w, lab.ClientScript(t, script), "story", "music")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.code != 0 || !slices.EqualFunc(lines, storyLines, sameJSON) {
		t.Errorf("exit code %d, printed\n%s\nwant\n%s\n%s", got.code, strings.Join(lines, "\n"), strings.Join(storyLines, "\n"), got.stderr)
	}
}

// sameJSON compares without the order of attributes, which DynamoDB does not
// promise.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// viaTheEndpoint checks that every call that AWS saw came by the bastion and
// was meant for AWS.
func (r *rig) viaTheEndpoint(t *testing.T) {
	t.Helper()
	for _, q := range r.aws.Seen().Requests {
		if q.Vpce != vpce || q.Host != ddbName {
			t.Errorf("%s came through %q for %q, want %q for %q", q.Op, q.Vpce, q.Host, vpce, ddbName)
		}
	}
}

func TestBoto3Story(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { r.storyByScript(t, w, "boto3_story.py") })
	}
	r.viaTheEndpoint(t)
}

// Node has no HTTPS_PROXY of its own, so it has no proxy mode either.
func TestJavaScriptStory(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) { r.storyByScript(t, w, "jsv3_story.mjs") })
	}
	r.viaTheEndpoint(t)
}

// cliStory is the same story with the AWS CLI: arguments, then what --output
// text prints of --query.
var cliStory = []struct{ args, query, want string }{
	{"create-table --table-name music --billing-mode PAY_PER_REQUEST --key-schema AttributeName=pk,KeyType=HASH" +
		" --attribute-definitions AttributeName=pk,AttributeType=S", "TableDescription.TableName", "music"},
	{"wait table-exists --table-name music", "@", ""},
	{`put-item --table-name music --item {"pk":{"S":"a"},"text":{"S":"first"}}`, "@", ""},
	{`get-item --table-name music --key {"pk":{"S":"a"}} --consistent-read`, "Item.text.S", "first"},
	{`query --table-name music --key-condition-expression pk=:pk --expression-attribute-values {":pk":{"S":"a"}}`, "Items[].text.S", "first"},
	{`batch-write-item --request-items {"music":[{"PutRequest":{"Item":{"pk":{"S":"b"}}}},{"PutRequest":{"Item":{"pk":{"S":"c"}}}}]}`,
		"UnprocessedItems", ""},
	{"scan --table-name music", "Count", "3"},
	{"delete-table --table-name music", "TableDescription.TableName", "music"},
	{"list-tables", "TableNames", ""},
}

func TestAWSCLIStory(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			for _, step := range cliStory {
				args := append([]string{"dynamodb"}, strings.Fields(step.args)...)
				args = append(args, "--output", "text", "--query", step.query)
				if !w.proxy {
					args = append(args, "--endpoint-url", localURL) // 2.9.19 knows no other way
				}
				got := r.through(w, "/usr/bin/aws", args...)
				if text := strings.TrimSpace(got.out); got.code != 0 || text != step.want && text != "None" {
					t.Errorf("%s\nexit code %d, printed %q, want %q\n%s", step.args, got.code, text, step.want, got.stderr)
				}
			}
		})
	}
	r.viaTheEndpoint(t)
}
