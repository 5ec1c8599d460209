//go:build linux

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// ddbproxy configure is all that a client is told by: it finds endpoint, region
// and key in the profile. The developer's own file comes back untouched.
func TestProfileServesRealClients(t *testing.T) {
	r := newRig(t, lab.Config{})
	t.Setenv("XDG_RUNTIME_DIR", r.runtime) // for the SDK for Go, which runs here
	t.Setenv("AWS_CA_BUNDLE", "")
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	file := filepath.Join(r.Home, ".aws", "config")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ddbproxy := filepath.Join(programs, "ddbproxy")
	got := r.client(nil, ddbproxy, "configure")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	contains(r, got.out, "region = "+lab.Region+"\n", "endpoint_url = "+localURL+"\n", "credential_process = "+ddbproxy+" credentials --local-port 8000\n")

	served := 0
	try := func(name string, args ...string) {
		t.Helper()
		got := r.client([]string{"AWS_PROFILE=ddbproxy", "AWS_PAGER="}, name, args...)
		if got.code != 0 || strings.Contains(got.stderr, "rror") {
			t.Errorf("%s %q: %+v, want it answered", name, args, got)
		}
		if served++; r.applied("ListTables") != served {
			t.Errorf("%s: DynamoDB answered %d times, want %d", name, r.applied("ListTables"), served)
		}
	}
	try(lab.ClientScript(t, "jsv3_story.mjs"), "list")
	// Debian's own are too old for services sections; with the URL the rest of
	// the profile serves them too.
	try("/usr/bin/aws", "dynamodb", "list-tables", "--endpoint-url", localURL)
	if python := python(t, "import boto3; assert [*map(int, boto3.__version__.split('.'))] >= [1, 28]"); python != "" {
		try(python, lab.ClientScript(t, "boto3_story.py"), "list")
	}
	if python := python(t, "import awscli; assert [*map(int, awscli.__version__.split('.'))] >= [1, 29]"); python != "" {
		try(python, "-m", "awscli", "dynamodb", "list-tables")
	}

	// It dials from the laptop.
	cfg, err := config.LoadDefaultConfig(t.Context(),
		config.WithSharedConfigFiles([]string{file}), config.WithSharedCredentialsFiles(nil), config.WithSharedConfigProfile("ddbproxy"),
		config.WithHTTPClient(&http.Client{Transport: &http.Transport{DialContext: r.Dialer(lab.Laptop), DisableCompression: true, DisableKeepAlives: true}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), nil); err != nil {
		t.Errorf("Go: %v", err)
	}

	if got := r.client(nil, ddbproxy, "configure", "--undo"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if after, err := os.ReadFile(file); string(after) != string(before) {
		t.Errorf("the file is %q, %v, want %q", after, err, before)
	}
}

// Two profiles on one port: AWS sees the key of the one that the client named, in
// its environment or in its profile.
func TestTwoProfilesServeRealClients(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{}, roleUser)
	r.openDoor(lab.SSHDOptions{})
	r.write(filepath.Join(r.Home, ".aws", "credentials"), "[dev]\naws_access_key_id = "+keyID+"\naws_secret_access_key = "+secret+
		"\n[role]\naws_access_key_id = "+roleKeyID+"\naws_secret_access_key = "+roleSecret+"\naws_session_token = "+roleToken+"\n")
	r.connect("--profile", "dev,role", "--region", lab.Region)
	ddbproxy := filepath.Join(programs, "ddbproxy")
	for _, profile := range []string{"dev", "role"} {
		if got := r.client(nil, ddbproxy, "configure", "by-"+profile, "--profile", profile); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	js, boto3 := lab.ClientScript(t, "jsv3_story.mjs"), lab.ClientScript(t, "boto3_story.py")
	for _, tt := range []struct {
		name, key string
		env       []string
		args      []string
	}{
		{"JavaScript, dev", keyID, nil, []string{ddbproxy, "exec", "--profile", "dev", "--", js, "list"}},
		{"JavaScript, role", roleKeyID, nil, []string{ddbproxy, "exec", "--profile", "role", "--", js, "list"}},
		{"boto3, dev", keyID, nil, []string{ddbproxy, "exec", "--", boto3, "list"}},
		{"boto3, role", roleKeyID, nil, []string{ddbproxy, "exec", "--profile", "role", "--", boto3, "list"}},
		{"JavaScript by a profile", roleKeyID, []string{"AWS_PROFILE=by-role"}, []string{js, "list"}},
		{"AWS CLI by a profile", roleKeyID, []string{"AWS_PROFILE=by-role", "AWS_PAGER="}, []string{"/usr/bin/aws", "dynamodb", "list-tables", "--endpoint-url", localURL}},
		{"AWS CLI by the other", keyID, []string{"AWS_PROFILE=by-dev", "AWS_PAGER="}, []string{"/usr/bin/aws", "dynamodb", "list-tables", "--endpoint-url", localURL}},
		{"AWS CLI with the role's own keys", roleKeyID, []string{"AWS_PROFILE=role", "AWS_REGION=" + lab.Region, "AWS_PAGER="}, []string{"/usr/bin/aws", "dynamodb", "list-tables", "--endpoint-url", localURL}},
	} {
		if got := r.client(tt.env, tt.args[0], tt.args[1:]...); got.code != 0 {
			t.Errorf("%s: %+v, want it answered", tt.name, got)
			continue
		}
		seen := r.aws.Seen().Requests
		if got := seen[len(seen)-1].Header.Get("Authorization"); !strings.Contains(got, " Credential="+tt.key+"/") {
			t.Errorf("%s: DynamoDB was called by %s, want %s", tt.name, got, tt.key)
		}
	}
}

// python is the interpreter on PATH where a check holds in it; "" without one.
func python(t *testing.T, check string) string {
	t.Helper()
	out, err := exec.Command("python3", "-c", check+"; import sys; print(sys.executable)").Output()
	if err != nil {
		t.Logf("python3: %q does not hold: %v", check, err)
		return ""
	}
	return strings.TrimSpace(string(out))
}
