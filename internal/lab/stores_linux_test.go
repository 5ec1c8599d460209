package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestStoresAnswerAndEnd(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(TB) string{"dynoxide": Dynoxide, "dynalite": Dynalite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecord(t)
			url := start(r)
			req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-amz-json-1.0")
			req.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
			req.Header.Set("X-Amz-Date", "20261124T000000Z")
			req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/20261124/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=b")
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != `{"TableNames":[]}` || resp.StatusCode != 200 || err != nil {
				t.Errorf("%s: %s, %v", resp.Status, body, err)
			}
			r.end()
			if c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
				c.Close()
				t.Error("it still listens after the test")
			}
		})
	}
}

// line is one line that a client script prints.
type line struct {
	Op       string `json:"op"`
	Result   any    `json:"result"`
	Error    string `json:"error"`
	Message  string `json:"message"`
	Attempts int    `json:"attempts"`
}

// script runs a client script against url on the host.
func script(t *testing.T, name, url string, args ...string) ([]line, error) {
	t.Helper()
	interpreter := "/usr/bin/python3"
	if strings.HasSuffix(name, ".mjs") {
		interpreter = "node"
	}
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{ClientScript(t, name)}, args...)...)
	cmd.Env = []string{"PATH=" + path, "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL_DYNAMODB=" + url,
		"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if stderr.Len() > 0 {
		t.Logf("%s: stderr: %s", name, stderr.String())
	}
	var lines []line
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l line
		if derr := d.Decode(&l); errors.Is(derr, io.EOF) {
			return lines, err
		} else if derr != nil {
			t.Fatalf("%s printed %q: %v", name, out, derr)
		}
		lines = append(lines, l)
	}
}

func TestClientScriptsTellTheirStory(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"boto3_story.py", "jsv3_story.mjs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := Dynoxide(t)
			lines, err := script(t, name, url, "story", "music")
			var ops []string
			for _, l := range lines {
				ops = append(ops, l.Op)
			}
			want := []string{"list", "create", "put", "get", "query", "batch-write", "query", "delete-table", "list"}
			if !slices.Equal(ops, want) || err != nil {
				t.Fatalf("got %+v, %v, want %v", lines, err, want)
			}
			// All but create and delete-table say what the store holds.
			for i, want := range []string{
				0: `[]`, 3: `{"pk":"a","text":"first"}`, 4: `[{"pk":"a","text":"first"}]`,
				6: `[{"pk":"batch-0","text":"0"}]`, 8: `[]`,
			} {
				if got, _ := json.Marshal(lines[i].Result); want != "" && string(got) != want {
					t.Errorf("%s = %s, want %s", ops[i], got, want)
				}
			}
		})
	}
}

func TestClientScriptsSayWhatWentWrong(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"boto3_story.py", "jsv3_story.mjs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := script(t, name, Dynoxide(t), "get", "nowhere", "a")
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("exit: %v, want status 1", err)
			}
			if len(lines) != 1 || lines[0].Error != "ResourceNotFoundException" || lines[0].Message == "" || lines[0].Attempts != 1 {
				t.Errorf("got %+v, want ResourceNotFoundException after 1 attempt", lines)
			}
		})
	}
}
