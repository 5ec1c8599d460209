package relayd

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

const wholePolicy = `
regions     = ["eu-west-1", "eu-west-3"]
endpoints   = ["standard", "privatelink"]
vpce        = ["vpce-0abc123"]
prefixes    = ["52.94.24.0/23"]
private     = true
connections = 200
bandwidth   = 5_000_000
idle        = "10m"
lifetime    = "8h"
audit       = true
`

func TestPolicyIsRead(t *testing.T) {
	t.Parallel()
	got, err := parsePolicy(wholePolicy)
	want := rules{
		allow: endpoint.Allow{
			Regions: []string{"eu-west-1", "eu-west-3"}, VPCE: []string{"vpce-0abc123"},
			Kinds: []endpoint.Kind{endpoint.KindStandard, endpoint.KindPrivateLink},
		},
		addresses: endpoint.Addresses{Prefixes: []netip.Prefix{netip.MustParsePrefix("52.94.24.0/23")}, Private: true},
		limits:    limits{connections: 200, bandwidth: 5000000, idle: 10 * time.Minute, lifetime: 8 * time.Hour},
		audit:     true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// The example of -h is what administrators begin with.
func TestPolicyOfTheHelpIsRight(t *testing.T) {
	t.Parallel()
	_, example, _ := strings.Cut(usage, "have to be listed:\n\n")
	if r, err := parsePolicy(example); err != nil || r.limits.connections == 0 || r.limits.lifetime == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWrongPolicyStopsTheRelay(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"unknown setting", "regions = []\n\nregion = 'eu-west-1'\n", "3: there is no setting region"},
		{"unknown table", "[limits]\nidle = '1h'\n", "1: there is no setting limits"},
		{"not TOML", "regions = ['eu-west-1'\nprivate = true\n", "2: expected ',' or ']'"},
		{"wrong type", "private = true\nregions = 'eu-west-1'\n", "2: cannot decode TOML string"},
		{"twice", "idle = '1h'\nidle = '2h'\n", "2: key idle is already defined"},
		{"region", "# here\n  regions = ['eu-west']\n", `2: regions: "eu-west" is not a DynamoDB endpoint: no partition has a region of this name`},
		{"kind", "endpoints = ['plain']", `1: endpoints: "plain" is none of ["standard" "fips"`},
		{"vpce", "\n\nvpce = ['vpc-0abc']", `3: vpce: "vpc-0abc" is no interface endpoint's id`},
		{"vpce without an id", "vpce = ['vpce-']", `1: vpce: "vpce-" is no interface endpoint's id`},
		{"vpce with a wildcard", "vpce = ['vpce-*']", `1: vpce: "vpce-*" is no interface endpoint's id`},
		{"vpce of another service", "vpce = ['vpce-0abc-x1.sts.eu-west-1.vpce.amazonaws.com']", `1: vpce: "vpce-0abc-x1.sts.`},
		{"region in capitals", "regions = ['EU-WEST-1']", `1: regions: "EU-WEST-1" is not a DynamoDB endpoint`},
		{"IPv4 in IPv6", "prefixes = ['::ffff:52.94.24.0/119']", `1: prefixes: "::ffff:52.94.24.0/119" is no prefix such as 52.94.24.0/23`},
		{"prefix", "private = false\nprefixes = [\n'52.94.24.0/23',\n'pl-6da54004']", `2: prefixes: "pl-6da54004" is no prefix such as 52.94.24.0/23`},
		{"connections", "connections = -1", "1: connections: a number of 1 or more"},
		{"no regions", "private = true\nregions = []", "2: regions: an empty list; leave it out to limit nothing"},
		{"no kinds", "endpoints = [ ]", "1: endpoints: an empty list"},
		{"no prefixes", "prefixes = []", "1: prefixes: an empty list"},
		{"no connections", "connections = 0", "1: connections: a number of 1 or more"},
		{"no bandwidth", "bandwidth = 0", "1: bandwidth: bytes a second, 16384 or more"},
		{"no idle time", "idle = ''", `1: idle: "" is no duration`},
		{"bandwidth", "bandwidth = 100", "1: bandwidth: bytes a second, 16384 or more"},
		{"idle without a unit", "idle = '60'", `1: idle: "60" is no duration of a minute or more`},
		{"too short", "lifetime = '5s'", `1: lifetime: "5s" is no duration of a minute or more`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "relay.toml")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := run("-policy", file)
			if want := "ddbproxy-relay: " + file + ":" + tc.want; code != 2 || stdout != "" || !strings.HasPrefix(stderr, want) {
				t.Errorf("exit %d, %q, %q; want 2, nothing, %q", code, stdout, stderr, want)
			}
		})
	}
	if code, _, stderr := run("-policy", "/nowhere/relay.toml"); code != 2 || !strings.Contains(stderr, "/nowhere/relay.toml: no such file") {
		t.Errorf("a file that is missing: exit %d, %q", code, stderr)
	}
}

// A link to a file that is not there is one that its administrator believes in.
func TestMachinesPolicyMayBeMissingButNoLinkToIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "nowhere")
	file, etc := filepath.Join(dir, "relay.toml"), filepath.Join(dir, "etc")
	for link, to := range map[string]string{file: "nowhere", etc: nowhere} {
		if err := os.Symlink(to, link); err != nil {
			t.Skip(err)
		}
	}
	for machine, want := range map[string]string{
		filepath.Join(dir, "none.toml"):          "",
		filepath.Join(dir, "none", "relay.toml"): "",
		file:                                     file + " is a link to nowhere",
		filepath.Join(etc, "relay.toml"):         etc + " is a link to " + nowhere,
		filepath.Join(etc, "x", "relay.toml"):    etc + " is a link to " + nowhere,
	} {
		switch all, err := loadPolicies(machine, ""); {
		case want == "" && (err != nil || len(all) > 0):
			t.Errorf("%s: %v, %v; want none", machine, all, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", machine, err, want)
		}
	}
}

// TestPolicyHoldsBesideTheFlags: neither widens the other, and a second file
// does not replace the machine's.
func TestPolicyHoldsBesideTheFlags(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "relay.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	machine := write("regions = ['eu-west-1', 'eu-west-3']\nvpce = ['vpce-0abc']\n")
	wide := write("vpce = ['vpce-0abc', 'vpce-0def']\n")
	const (
		west1 = "dynamodb.eu-west-1.amazonaws.com:443"
		west3 = "dynamodb.eu-west-3.amazonaws.com:443"
		east  = "dynamodb.us-east-1.amazonaws.com:443"
		abc   = "vpce-0abc-x1.dynamodb.eu-west-1.vpce.amazonaws.com:443"
		def   = "vpce-0def-x1.dynamodb.eu-west-1.vpce.amazonaws.com:443"
	)
	for _, tc := range []struct {
		name    string
		args    []string
		allowed map[string]bool
	}{
		{"the file alone", nil, map[string]bool{west1: true, west3: true, abc: true}},
		{"flags narrow", []string{"-region", "eu-west-1"}, map[string]bool{west1: true, abc: true}},
		{"flags do not widen", []string{"-region", "eu-west-3,us-east-1", "-vpce", "vpce-0def"}, map[string]bool{west3: true}},
		{"another file does not widen", []string{"-policy", wide}, map[string]bool{west1: true, west3: true, abc: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			near, far := duplex(t)
			p := Program{Stdin: far, Stdout: far, Stderr: new(strings.Builder), Policy: machine, Dial: func(context.Context, string, string) (net.Conn, error) {
				a, b := net.Pipe()
				b.Close()
				return a, nil
			}}
			ended := make(chan int, 1)
			go func() { ended <- p.Run(context.Background(), tc.args) }()
			c, err := relay.NewClient(t.Context(), near, "test")
			if err != nil {
				t.Fatal(err)
			}
			for _, target := range []string{west1, west3, east, abc, def} {
				conn, err := c.DialContext(t.Context(), "tcp", target)
				if (err == nil) != tc.allowed[target] {
					t.Errorf("%s: error %v, want allowed %v", target, err, tc.allowed[target])
				}
				if err == nil {
					conn.Close()
				} else if target == east && !strings.Contains(err.Error(), machine+" on the bastion") {
					t.Errorf("error %v, want the file named", err)
				}
			}
			c.Close()
			if code := <-ended; code != 0 {
				t.Errorf("exit %d, want 0", code)
			}
		})
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(wholePolicy)
	f.Add("regions = ['eu-west-1']\n[x]\ny = 1")
	f.Add("'vpce' = [\"vpce-0abc\"]\nidle=\"1h\"")
	f.Add("private = 1\nconnections = 1e3")
	f.Add("regions = []\nconnections = 0\nidle = ''")
	line := regexp.MustCompile(`^[1-9][0-9]*: .`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parsePolicy(text)
		if err != nil {
			if !line.MatchString(err.Error()) {
				t.Errorf("error %q begins with no line", err)
			}
			return
		}
		for _, target := range []string{"169.254.169.254:443", "evil.example:443", "dynamodb.eu-west-1.amazonaws.com:22"} {
			if allowed([]rules{r}, target) == nil {
				t.Errorf("%s is allowed", target)
			}
		}
		if r.addresses.Check(netip.MustParseAddr("169.254.169.254")) == nil {
			t.Error("the metadata is allowed")
		}
		l := r.limits
		if l.connections < 0 || l.bandwidth != 0 && l.bandwidth < minBandwidth || l.idle != 0 && l.idle < time.Minute || l.lifetime != 0 && l.lifetime < time.Minute {
			t.Errorf("limits %+v", l)
		}
	})
}
