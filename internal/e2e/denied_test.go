//go:build linux

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// The policy admits another endpoint than the bastion's: each client shows AWS's own words, and log and status say what
// they mean.
func TestDenialIsExplainedAndPassesUnchanged(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{}, func(s *edge.Server) { s.Policy.SourceVpce = "vpce-0000000000000beef" })
	r.openDoor(lab.SSHDOptions{})
	s := r.connect("-v")
	for name, c := range r.complaints(t, nil, nil) {
		const want = "User: arn:aws:iam::123456789012:user/dev is not authorized to perform: dynamodb:ListTables on resource: "
		if c.code != "AccessDeniedException" || !strings.HasPrefix(c.message, want) || strings.Contains(c.message, "ddbproxy") {
			t.Errorf("%s shows %s: %s", name, c.code, c.message)
		}
	}
	const why = "an IAM policy of the caller denies dynamodb:ListTables, perhaps because it did not come through the VPC endpoint"
	eventually(t, "four denials in the log", func() bool {
		return strings.Count(s.stderr.String(), `denied=identity_policy why="`+why+`"`) == 4
	})
	ddbproxy := filepath.Join(programs, "ddbproxy")
	if status := r.client(nil, ddbproxy, "status"); status.code != 0 || !strings.Contains(status.out, "  AWS denied 4 calls, the last ") || !strings.Contains(status.out, "s ago (ListTables): "+why+"\n") {
		t.Errorf("status: exit code %d, %s", status.code, status.out)
	}
	var told []struct {
		Denied struct {
			Count                    int
			Cause, Policy, Operation string
			Explicit                 bool
		}
	}
	status := r.client(nil, ddbproxy, "status", "--json")
	if err := json.Unmarshal([]byte(status.out), &told); err != nil || len(told) != 1 {
		t.Fatalf("status --json: %v in %s", err, status.out)
	}
	if d := told[0].Denied; d.Count != 4 || d.Cause != "identity_policy" || d.Policy != "identity" || !d.Explicit || d.Operation != "ListTables" {
		t.Errorf("status --json: %+v", d)
	}
}
