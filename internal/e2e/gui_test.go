//go:build linux

package e2e

import (
	"bufio"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// dynamodb-admin, a GUI made for DynamoDB Local, works with a key of its own and
// the region "localhost" that such tools have: it lists the tables, and shows and
// writes an item.
func TestGUI(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.write(filepath.Join(r.Home, ".aws", "config"), "[default]\nregion = "+lab.Region+"\n[profile gui]\naws_access_key_id = gui\naws_secret_access_key = kept-by-the-gui-itself\n")
	r.connect("--caller-profile", "gui")
	createTable(t, r.gosdk(), "music")
	if _, err := r.gosdk().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("music"), Item: row{
		"pk":   &types.AttributeValueMemberS{Value: "nightingale"},
		"text": &types.AttributeValueMemberS{Value: "sings at night"},
	}}); err != nil {
		t.Fatal(err)
	}

	program := lab.ClientScript(t, "node_modules/dynamodb-admin/dist/dynamodb-admin.js")
	gui := r.Command(t.Context(), lab.Laptop, "node", program, "--host", "127.0.0.1", "--port", "8001")
	gui.Env = append(append(gui.Env, "AWS_REGION=localhost", "DYNAMO_ENDPOINT="+localURL, "AWS_ACCESS_KEY_ID=gui", "AWS_SECRET_ACCESS_KEY=kept-by-the-gui-itself"), withoutKeys()...)
	said := &text{}
	gui.Stderr = said
	out, err := gui.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gui.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = gui.Process.Kill()
		_ = gui.Wait() // killed
		if t.Failed() {
			t.Logf("dynamodb-admin said:\n%s", said)
		}
	})
	lines := bufio.NewScanner(io.TeeReader(out, said))
	for lines.Scan() && !strings.Contains(lines.Text(), "listening on") {
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}

	web := &http.Client{Transport: &http.Transport{DialContext: r.Dialer(lab.Laptop), DisableKeepAlives: true}, Timeout: 60 * time.Second}
	page := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8001"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v\n%s", path, resp.Status, err, text)
		}
		return string(text)
	}
	contains(r, page(http.MethodGet, "/", ""), `/tables/music`)
	contains(r, page(http.MethodGet, "/tables/music/items", ""), `"pk": "nightingale"`, `"text": "sings at night"`)
	contains(r, page(http.MethodGet, "/tables/music/items/nightingale", ""), "sings at night")
	page(http.MethodPut, "/tables/music/add-item", `{"pk":"owl","text":"hoots"}`)
	if got := r.items("music"); len(got) != 2 {
		t.Errorf("DynamoDB has %v, want the owl too", got)
	}
	for _, seen := range r.aws.Seen().Requests {
		if seen.Host != ddbName {
			t.Errorf("DynamoDB was called as %s, want %s", seen.Host, ddbName)
		}
	}
}
