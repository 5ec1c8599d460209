package main

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/policy"
	"github.com/ddbproxy/ddbproxy/internal/vpc"
)

// around is what AWS has around the stage's bastion, all of it well.
func (r *region) around(t *testing.T) *vpc.Server {
	t.Helper()
	scope := policy.Scope{VPCEs: []string{demoVPCE}, Region: demoRegion}
	text := func(p *policy.Policy) string {
		b, err := p.JSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	service := "com.amazonaws." + demoRegion + ".dynamodb"
	s := &vpc.Server{
		Region: demoRegion, KeyID: r.key, Secret: r.secret,
		Instances: []vpc.Instance{{ID: testInstance, VPC: "vpc-1", Subnet: "subnet-1", Address: "10.0.0.10", Groups: []string{"sg-1"}}},
		Endpoints: []vpc.Endpoint{{ID: demoVPCE, Type: "Gateway", VPC: "vpc-1", Service: service, State: "available",
			Policy: text(policy.ForEndpoint(policy.Scope{})), RouteTables: []string{"rtb-1"}}},
		RouteTables: []vpc.RouteTable{{ID: "rtb-1", VPC: "vpc-1", Associations: []vpc.Association{{Subnet: "subnet-1"}}}},
		Groups:      []vpc.Group{{ID: "sg-1", VPC: "vpc-1", Egress: []vpc.Permission{{Protocol: "tcp", From: 443, To: 443, PrefixLists: []string{"pl-1"}}}}},
		ACLs: []vpc.ACL{{ID: "acl-1", VPC: "vpc-1", Associations: []vpc.Association{{Subnet: "subnet-1"}}, Entries: []vpc.Entry{
			{Number: 100, Protocol: "-1", Action: "allow", Egress: true, CIDR: "0.0.0.0/0"}, {Number: 100, Protocol: "-1", Action: "allow", CIDR: "0.0.0.0/0"},
		}}},
		PrefixLists: []vpc.PrefixList{{ID: "pl-1", Name: service, CIDRs: []string{"52.94.0.0/22"}}},
		Principals:  []vpc.Principal{{ARN: demoARN, Policies: map[string]string{"ddbproxy": text(policy.Allow(scope))}}},
	}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	outside, end, err := r.outside()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	t.Setenv("AWS_ENDPOINT_URL_EC2", web.URL)
	t.Setenv("AWS_ENDPOINT_URL_IAM", web.URL)
	t.Setenv("HTTPS_PROXY", outside)
	return s
}

// doctor runs the command for the instance, whose id is all that is known of it.
func (r *region) doctor(t *testing.T, more ...string) (code int, printed string) {
	t.Helper()
	t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "") // a command before this one, in this process, has set it
	var stdout, stderr strings.Builder
	code = run(append([]string{"doctor", "bastion", "--instance-connect", testInstance, "--ssh-config", r.file("ssh_config"),
		"--known-hosts", r.file("known_hosts"), "--listen", "0"}, more...), strings.NewReader(""), &stdout, &stderr)
	if stderr.String() != "" {
		t.Errorf("it complains: %s", &stderr)
	}
	return code, stdout.String()
}

// The command goes all the way: what EC2 and IAM say is in the list, and decides
// what the proof's denial means.
func TestDoctorAsksAWSAboutTheBastionsPlace(t *testing.T) {
	r := newRegion(t)
	aws := r.around(t)
	code, text := r.doctor(t)
	for _, line := range []string{
		`✓ bastion's network +` + testInstance + ` in subnet-1, vpc-1`, `✓ VPC endpoint +` + demoVPCE + `, gateway`, `✓ way to the endpoint +rtb-1 has it`,
		`✓ security group +sg-1 lets port 443 out`, `✓ network ACL +acl-1`, `✓ endpoint policy +lets all calls pass`,
		`✓ IAM, through it +user dev may dynamodb:ListTables through ` + demoVPCE, `✓ IAM, from elsewhere +user dev is denied`, `✓ through the tunnel +ListTables is answered`,
	} {
		if !regexp.MustCompile(`(?m)^  ` + line).MatchString(text) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	// The bastion's subnet lost its route; AWS then sees no endpoint.
	aws.Endpoints[0].RouteTables = nil
	r.edge.Policy.SourceVpce = "vpce-00000000000000000"
	code, text = r.doctor(t)
	for _, line := range []string{
		`  ✗ way to the endpoint +rtb-1, of the bastion's subnet, has no route to ` + demoVPCE,
		`      → aws ec2 modify-vpc-endpoint --vpc-endpoint-id ` + demoVPCE + ` --add-route-table-ids rtb-1 --region ` + demoRegion + `$`,
		`  ✗ through the tunnel +User: arn:aws:iam::123456789012:user/dev is not authorized`,
		`      An IAM policy of the caller denies dynamodb:ListTables, and it did not come through the VPC endpoint\.$`,
	} {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(text) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
}
