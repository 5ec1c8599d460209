//go:build linux

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// Nobody types a URL: the clients find their way by the environment alone, the
// old AWS CLI by HTTPS_PROXY.
func TestExecRunsRealClients(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	ddbproxy := filepath.Join(programs, "ddbproxy")
	ca := "AWS_CA_BUNDLE=" + r.caFile
	if got := r.client([]string{ca}, ddbproxy, "exec", lab.BastionName, "--", "true"); got.code != 0 {
		t.Fatalf("%+v, want the relay sent", got)
	}
	fips := filepath.Join(r.Home, "fips")
	r.write(fips, "[default]\nregion = "+lab.Region+"\nuse_fips_endpoint = true\n")
	for _, tt := range []struct {
		name, host string // DynamoDB's name
		env        []string
		args       []string
	}{
		{"AWS CLI by proxy", ddbName, nil, []string{"--proxy", "--", "/usr/bin/aws", "dynamodb", "list-tables", "--output", "text", "--no-cli-pager"}},
		{"boto3", ddbName, nil, []string{"--", lab.ClientScript(t, "boto3_story.py"), "list"}},
		{"JavaScript", ddbName, nil, []string{"--", lab.ClientScript(t, "jsv3_story.mjs"), "list"}},
		// It would refuse a custom endpoint with these.
		{"JavaScript, FIPS", "dynamodb-fips." + lab.Region + ".amazonaws.com", []string{"AWS_USE_FIPS_ENDPOINT=true"}, []string{"--", lab.ClientScript(t, "jsv3_story.mjs"), "list"}},
		{"JavaScript, FIPS profile", "dynamodb-fips." + lab.Region + ".amazonaws.com", []string{"AWS_CONFIG_FILE=" + fips}, []string{"--", lab.ClientScript(t, "jsv3_story.mjs"), "list"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := r.client(append(tt.env, ca, "AWS_PROFILE=default"), ddbproxy, append([]string{"exec", lab.BastionName}, tt.args...)...)
			if got.code != 0 || got.stderr != "" {
				t.Errorf("%+v, want it answered", got)
			}
			if seen := r.aws.Seen().Requests; len(seen) == 0 || seen[len(seen)-1].Host != tt.host {
				t.Errorf("DynamoDB saw %+v, want the last for %s", seen, tt.host)
			}
			if n := len(r.relays()); n != 0 {
				t.Errorf("%d relays are left, want the session gone with its command", n)
			}
		})
	}
	if got := r.applied("ListTables"); got != 5 {
		t.Errorf("DynamoDB answered %d times, want 5", got)
	}
}
