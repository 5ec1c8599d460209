package doctor

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
)

// Rules at random, and each port tried by itself: what is found to be dropped is,
// and where nothing is found nothing is.
func TestACLAgreesWithEachPort(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	there := netip.MustParseAddr("192.0.2.1")
	tried := ports{100, 140}
	dropped := 0
	for range 5000 {
		var entries []types.NetworkAclEntry
		for number := range int32(random.IntN(6)) {
			from := int32(90 + random.IntN(60))
			e := types.NetworkAclEntry{
				RuleNumber: aws.Int32(number + 1), Egress: aws.Bool(random.IntN(4) == 0), Protocol: aws.String([]string{"6", "6", "-1", "17"}[random.IntN(4)]),
				CidrBlock: aws.String([]string{"0.0.0.0/0", "192.0.2.0/24", "198.51.100.0/24"}[random.IntN(3)]), RuleAction: []types.RuleAction{"allow", "allow", "deny"}[random.IntN(3)],
				PortRange: &types.PortRange{From: aws.Int32(from), To: aws.Int32(from + int32(random.IntN(60)))},
			}
			entries = append(entries, e)
		}
		random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		lets := func(port int32) bool {
			sorted := slices.SortedFunc(slices.Values(entries), func(a, b types.NetworkAclEntry) int { return cmp.Compare(*a.RuleNumber, *b.RuleNumber) })
			for _, e := range sorted {
				fits := !*e.Egress && netip.MustParsePrefix(*e.CidrBlock).Contains(there) &&
					(*e.Protocol == "-1" || *e.Protocol == "6" && *e.PortRange.From <= port && port <= *e.PortRange.To)
				if fits {
					return e.RuleAction == "allow"
				}
			}
			return false
		}
		any := false
		for port := tried.from; port <= tried.to; port++ {
			any = any || !lets(port)
		}
		port, _, bad := refusing(entries, false, there, tried)
		if bad != any || bad && lets(port) {
			t.Fatalf("%+v: port %d, %v; want %v", entries, port, bad, any)
		}
		if bad {
			dropped++
		}
	}
	if dropped < 500 || dropped > 4500 {
		t.Errorf("%d of 5000 sets of rules drop something: the test tries too little", dropped)
	}
}

func TestADenialIsExplainedByThePath(t *testing.T) {
	t.Parallel()
	d := &Denial{Code: "AccessDeniedException", Message: "User: arn:aws:iam::123456789012:user/dev is not authorized to perform: dynamodb:ListTables on resource: * with an explicit deny in an identity-based policy"}
	const said = "an IAM policy of the caller denies dynamodb:ListTables"
	for _, tt := range []struct {
		f    *Facts
		want string
	}{
		{&Facts{Endpoint: publicName}, said + ", perhaps because it did not come through the VPC endpoint"},
		{&Facts{Endpoint: publicName, path: denial.Through}, said},
		{&Facts{Endpoint: publicName, path: denial.Past}, said + ", and it did not come through the VPC endpoint"},
		{&Facts{Endpoint: linkName}, said},
	} {
		if why, remedy := d.Explain(tt.f); why != tt.want || remedy == "" {
			t.Errorf("%s, path %d: %q, want %q", tt.f.Endpoint, tt.f.path, why, tt.want)
		}
	}
}

// The path that each scene leaves is what a denial is explained by.
func TestPathOfTheScenes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]denial.Path{
		"all is well": denial.Through, "no endpoint": denial.Past, "no route": denial.Past, "no route in the main table": denial.Past,
		"route in the main table": denial.Through, "DNS answers with another address": denial.Past, "the bastion has told nothing": denial.Unknown,
		"endpoint in another VPC": denial.Past, "another region is served": denial.Past, "interface endpoint with private DNS": denial.Through,
		"interface endpoint that is not dialled": denial.Past, "no permission for anything": denial.Unknown,
	} {
		i := slices.IndexFunc(troubles, func(tr trouble) bool { return tr.name == name })
		if i < 0 {
			t.Fatalf("there is no scene %q", name)
		}
		f := troubles[i].facts(t)
		Run(t.Context(), networkChecks(), f, nil)
		if got := f.Path(); got != want {
			t.Errorf("%s: path %d, want %d", name, got, want)
		}
	}
}
