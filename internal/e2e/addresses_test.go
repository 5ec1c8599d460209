//go:build linux

package e2e

import (
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// DNS on the bastion decides where an allowed name leads. It may not lead to the
// instance's metadata, nor out of the prefixes that the administrator gave.
func TestRelayRefusesAddressesThatNoEndpointHas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, args, region string
		code               int
		said               string
	}{
		{"inside the prefixes", "-prefixes 10.0.0.0/24", lab.Region, 0, ""},
		{"private", "-private", lab.Region, 0, ""},
		{"outside the prefixes", "-prefixes 52.94.24.0/23", lab.Region, 8, "relay: " + ddbName + ":443: " + lab.VPCEndpoint + " may not be dialled: it is not among the allowed ones (52.94.24.0/23)"},
		{"metadata, by default", "", "eu-central-1", 8, "169.254.169.254 may not be dialled: no VPC endpoint has such an address"},
		{"metadata, though in the prefixes", "-prefixes 0.0.0.0/0", "eu-central-1", 8, "169.254.169.254 may not be dialled: no VPC endpoint has such an address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			if err := r.AddHost(lab.Bastion, "169.254.169.254", "dynamodb.eu-central-1.amazonaws.com"); err != nil {
				t.Fatal(err)
			}
			r.openDoor(lab.SSHDOptions{KeyOptions: `restrict,command="` + r.installRelay() + " " + tt.args + `"`})
			if tt.code == 0 {
				r.connect("--region", tt.region).serves(t, []string{byRelay}, []string{byForward})
				return
			}
			code, said := r.run(nil, "connect", lab.BastionName, "--region", tt.region)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			contains(r, said, tt.said)
		})
	}
}
