//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// complaint is an error as a client shows it to its user.
type complaint struct {
	code, message string
	attempts      int // 0: the client does not tell
}

// complaints makes the same call with every client and returns what each of
// them says, by its name. env goes to those that have an environment.
func (r *rig) complaints(t *testing.T, env []string, key aws.CredentialsProvider) map[string]complaint {
	t.Helper()
	got := map[string]complaint{}

	cli := r.cli(env, "list-tables", "--endpoint-url", localURL)
	// An error occurred (CODE) when calling the ListTables operation: MESSAGE
	_, rest, _ := strings.Cut(cli.stderr, "An error occurred (")
	code, rest, _ := strings.Cut(rest, ")")
	_, message, _ := strings.Cut(rest, ": ")
	got["AWS CLI"] = complaint{code: code, message: message}

	for name, script := range map[string]string{"boto3": "boto3_story.py", "JavaScript": "jsv3_story.mjs"} {
		said := r.client(append([]string{"AWS_ENDPOINT_URL_DYNAMODB=" + localURL}, env...), lab.ClientScript(t, script), "list")
		var line struct {
			Error, Message string
			Attempts       int
		}
		if err := json.Unmarshal([]byte(said.out), &line); err != nil || said.code != 1 {
			t.Errorf("%s printed %q and %q, exit code %d, want an error as JSON and 1", name, said.out, said.stderr, said.code)
		}
		got[name] = complaint{line.Error, line.Message, line.Attempts}
	}

	_, err := r.gosdk(func(o *dynamodb.Options) {
		if key != nil {
			o.Credentials = key
		}
		for _, e := range env {
			if e == onlyOnce {
				once(o)
			}
		}
	}).ListTables(t.Context(), nil)
	got["Go"] = complaintOf(err)
	return got
}

// onlyOnce keeps a client from trying again.
const onlyOnce = "AWS_MAX_ATTEMPTS=1"

func complaintOf(err error) complaint {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return complaint{message: fmt.Sprint(err)}
	}
	return complaint{code: api.ErrorCode(), message: api.ErrorMessage()}
}

// allSay checks that each client names the error and says the words, and that
// those that count their attempts needed one.
func allSay(t *testing.T, got map[string]complaint, code string, words ...string) {
	t.Helper()
	for client, c := range got {
		if c.code != code {
			t.Errorf("%s: error %q, want %q (message %q)", client, c.code, code, c.message)
		}
		for _, w := range append([]string{"ddbproxy: "}, words...) {
			if !strings.Contains(c.message, w) {
				t.Errorf("%s: message %q, want %q in it", client, c.message, w)
			}
		}
		if c.attempts > 1 {
			t.Errorf("%s: %d attempts, want 1", client, c.attempts)
		}
	}
}

func TestBastionThatIsAwayIsNamedByEveryClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect("--hold", "2s")
	r.door.Stop()

	// This one is retried; all clients but this test would go on for a minute.
	allSay(t, r.complaints(t, []string{onlyOnce}, nil), "ServiceUnavailable", "ssh: ", lab.BastionAddr, "connection refused")

	resp, body := r.post(t, r.signed(t, "ListTables", []byte("{}")))
	if got, want := resp.StatusCode, http.StatusServiceUnavailable; got != want {
		t.Errorf("status %d, want %d: %s", got, want, body)
	}
	if got := resp.Header.Get("Retry-After"); got == "" {
		t.Error("no Retry-After, which is what JavaScript waits by")
	}

	r.door.Start()
	if got, want := r.local("list-tables", "--output", "text"), (outcome{}); got != want {
		t.Errorf("with sshd back: %+v, want an empty list", got)
	}
}

func TestHostKeyChangedWhileAwayIsToldAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	known := r.door.RotateHostKey()
	eventually(t, "ddbproxy has met the new key", func() bool { return strings.Contains(s.stderr.String(), "reconnect") })
	allSay(t, r.complaints(t, nil, nil), "DDBProxyBastionUnreachable", "ssh: ", "HOST KEY CHANGED", "ssh-keygen -f")

	// Once the user has accepted it, nothing has to be started again.
	if err := os.WriteFile(r.door.KnownHosts, []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "calls get through again", func() bool { return r.local("list-tables").code == 0 })
}

func TestCallersWithoutTheRightKeyAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	for _, tt := range []struct{ name, id, secret, code, words string }{
		{"another secret", keyID, "not/the/secret", "InvalidSignatureException", "another secret key"},
		{"another key", "AKIASOMEBODYELSE", secret, "UnrecognizedClientException", "AKIASOMEBODYELSE is not the one of the default profile"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := []string{"AWS_ACCESS_KEY_ID=" + tt.id, "AWS_SECRET_ACCESS_KEY=" + tt.secret}
			allSay(t, r.complaints(t, env, credentials.NewStaticCredentialsProvider(tt.id, tt.secret, "")), tt.code, tt.words)
		})
	}
	t.Run("unsigned", func(t *testing.T) {
		got := r.local("list-tables", "--no-sign-request")
		contains(r, got.stderr, "(MissingAuthenticationToken", "ddbproxy: the request is not signed")
	})
	t.Run("another region", func(t *testing.T) {
		got := r.local("list-tables", "--region", "us-east-1")
		contains(r, got.stderr, "(AccessDeniedException)", "ddbproxy: ", "us-east-1", "eu-west-1")
	})
	if got := r.aws.Seen().Ops["ListTables"].Received; got != 0 {
		t.Errorf("AWS received %d calls, want none of these", got)
	}
}

func TestProxyModeReachesDynamoDBOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	for target, want := range map[string]string{
		"sts.eu-west-1.amazonaws.com:443":      "403 ddbproxy: local: ",
		"dynamodb.us-east-1.amazonaws.com:443": "403 ddbproxy: local: ",
		ddbName + ":22":                        "403 ddbproxy: local: ",
		lab.VPCEndpoint + ":443":               "403 ddbproxy: local: ",
	} {
		conn := r.dialLocal(t)
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", target)
		got := readAll(t, conn)
		if !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("CONNECT %s: %q, want %q", target, got, want)
		}
	}
	// The CLI hides the reason, but it fails and does not hang.
	got := r.client(append(r.proxyMode(), "AWS_MAX_ATTEMPTS=1"), "/usr/bin/aws", "sts", "get-caller-identity")
	if got.code == 0 {
		t.Errorf("sts in proxy mode: %+v, want it refused", got)
	}
}

// Without credentials ddbproxy has a use: proxy mode; and a login may follow.
func TestWithoutCredentialsTheSessionStaysUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connectWith([]string{"AWS_SHARED_CREDENTIALS_FILE=/dev/null"})
	eventually(t, "it is said", func() bool { return strings.Contains(s.stderr.String(), "no AWS credentials from") })
	allSay(t, r.complaints(t, nil, nil), "DDBProxyCredentialsUnavailable", "aws configure")
	if got := r.cli(r.proxyMode(), "list-tables", "--output", "text"); got != (outcome{}) {
		t.Errorf("in proxy mode: %+v, want an empty list", got)
	}
}

// soon bounds what a test does by hand.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}
