//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// The reason for all this: the policy lets nobody in from the internet.
func TestLaptopIsDeniedDirectlyAndServedThroughTheBastion(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})

	direct := r.cli([]string{"AWS_CA_BUNDLE=" + r.caFile}, "list-tables")
	contains(r, direct.stderr, "AccessDeniedException", "ListTables")
	if direct.code == 0 || direct.out != "" {
		t.Errorf("direct call: %+v, want it denied", direct)
	}

	r.connect()
	through := r.local("list-tables", "--output", "text")
	if want := (outcome{}); through != want {
		t.Errorf("through ddbproxy: %+v, want an empty list", through)
	}

	seen := r.aws.Seen()
	last := seen.Requests[len(seen.Requests)-1]
	if last.Op != "ListTables" || last.Vpce != vpce || last.Host != ddbName {
		t.Errorf("AWS saw %s through %q for %q, want ListTables through %q for %q", last.Op, last.Vpce, last.Host, vpce, ddbName)
	}
	for name, values := range last.Header {
		if strings.Contains(strings.Join(values, " "), "localhost") {
			t.Errorf("AWS saw localhost in %s: %q", name, values)
		}
	}
}
