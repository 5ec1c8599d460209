// Package aws has no code: its tests evaluate the CloudFormation template and the
// Terraform module beside it, and hold them against each other and against the
// policies that ddbproxy advises.
package aws

import (
	"maps"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/policy"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

func TestTemplateAndModuleMakeTheSame(t *testing.T) {
	for _, o := range allOptions {
		t.Run(o.name, func(t *testing.T) {
			c, tf := fromCloudFormation(t, o), fromTerraform(t, o)
			for _, fact := range c.Facts {
				if !slices.Contains(tf.Facts, fact) {
					t.Errorf("CloudFormation alone: %s", fact)
				}
			}
			for _, fact := range tf.Facts {
				if !slices.Contains(c.Facts, fact) {
					t.Errorf("Terraform alone: %s", fact)
				}
			}
			if len(c.Facts) != len(tf.Facts) {
				t.Errorf("%d facts, and %d", len(c.Facts), len(tf.Facts))
			}
			if !reflect.DeepEqual(c.Policies, tf.Policies) {
				t.Errorf("policies of CloudFormation %s\nof Terraform %s", c.Policies, tf.Policies)
			}
			if !reflect.DeepEqual(c.Outputs, tf.Outputs) {
				t.Errorf("outputs of CloudFormation %q\nof Terraform %q", c.Outputs, tf.Outputs)
			}
		})
	}
}

// What the group lets through, and what protects the bastion, in so many words.
func TestTheBastionIsShut(t *testing.T) {
	for _, o := range allOptions {
		var want []string
		for _, cidr := range o.sources() {
			want = append(want, "sg-bastion in tcp 22 22 "+cidr)
		}
		want = append(want, "sg-bastion out tcp 443 443 "+prefixList)
		if !o.noSSM {
			want = append(want, "sg-bastion out tcp 443 443 0.0.0.0/0")
		}
		if o.link != "" {
			want = append(want, "sg-bastion out tcp 443 443 sg-private-link", "sg-private-link in tcp 443 443 sg-bastion")
		}
		slices.Sort(want)
		facts := fromCloudFormation(t, o).Facts
		if !slices.Contains(facts, "metadata required 1") {
			t.Errorf("%s: IMDSv1 is not off", o.name)
		}
		rules := slices.DeleteFunc(facts, func(s string) bool { return !strings.HasPrefix(s, "sg-") })
		if !slices.Equal(rules, want) {
			t.Errorf("%s: rules\n%s\nwant\n%s", o.name, strings.Join(rules, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestPoliciesAdmitTheEndpointsOnly(t *testing.T) {
	for _, o := range allOptions {
		e := fromTerraform(t, o)
		parsed := map[string]*policy.Policy{}
		for of, text := range e.Policies {
			if of == "role" {
				continue
			}
			p, err := policy.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			parsed[of] = p
		}
		scope := policy.Scope{VPCEs: strings.Split(e.Outputs["endpoint_ids"], ","), Account: account}
		wanted := map[string]*policy.Policy{"developer": policy.Allow(scope), gateway: policy.ForEndpoint(scope)}
		if o.deny {
			wanted["deny"] = policy.Deny(scope)
		}
		if o.link != "" {
			wanted[link] = policy.ForEndpoint(scope)
		}
		for of, want := range wanted {
			got := parsed[of]
			if got == nil {
				t.Errorf("%s: no policy of %s", o.name, of)
				continue
			}
			want := want.Statements[0]
			slices.SortFunc(want.Condition, func(a, b policy.Condition) int { return strings.Compare(a.Operator, b.Operator) })
			if !reflect.DeepEqual(got.Statements[0], want) {
				t.Errorf("%s: policy of %s is not what ddbproxy policy prints:\n%+v\n%+v", o.name, of, got.Statements[0], want)
			}
		}
		identity := []*policy.Policy{parsed["developer"]}
		if o.deny {
			admin, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))
			if err != nil {
				t.Fatal(err)
			}
			identity = append(identity, parsed["deny"], admin)
		}
		for _, vpce := range scope.VPCEs {
			through := scope
			through.VPCEs = []string{vpce}
			r := policy.Check(identity, []*policy.Policy{parsed[vpce]}, through)
			if len(r.Problems) > 0 {
				t.Errorf("%s: %s: %q", o.name, vpce, r.Problems)
			}
			for _, c := range r.Calls {
				if c.Places[policy.Through] != policy.Allowed {
					t.Errorf("%s: %s through %s is %s", o.name, c.Action, vpce, c.Places[policy.Through])
				}
			}
			through.Account = "210987654321"
			if r := policy.Check(identity, []*policy.Policy{parsed[vpce]}, through); r.Calls[0].Places[policy.Through] == policy.Allowed {
				t.Errorf("%s: another account passes %s", o.name, vpce)
			}
		}
	}
}

// With a relay of its own the bastion has an account for developers that can do
// nothing else, and ec2-user, who is root there, is not for them.
func TestDevelopersLogInToTheBastionOnly(t *testing.T) {
	for _, c := range []struct {
		relay, action, instance, user string
		want                          policy.Decision
	}{
		{"", "ec2-instance-connect:SendSSHPublicKey", bastion, "ec2-user", policy.Allowed},
		{"", "ec2-instance-connect:SendSSHPublicKey", bastion, "root", policy.NotAllowed},
		{"", "ec2-instance-connect:SendSSHPublicKey", "i-0fedcba9876543210", "ec2-user", policy.NotAllowed},
		{"", "ec2:TerminateInstances", bastion, "ec2-user", policy.NotAllowed},
		{"", "ec2:DescribeInstances", bastion, "", policy.Allowed},
		{"", "ec2:DescribeVpcEndpoints", bastion, "", policy.Allowed}, // for ddbproxy doctor
		{"", "ec2:ModifyVpcEndpoint", bastion, "", policy.NotAllowed},
		{relayURL, "ec2-instance-connect:SendSSHPublicKey", bastion, "ddbproxy", policy.Allowed},
		{relayURL, "ec2-instance-connect:SendSSHPublicKey", bastion, "ec2-user", policy.NotAllowed},
	} {
		p, err := policy.Parse([]byte(fromCloudFormation(t, options{relay: c.relay}).Policies["developer"]))
		if err != nil {
			t.Fatal(err)
		}
		r := policy.Request{Action: c.action, Resource: "arn:aws:ec2:" + region + ":" + account + ":instance/" + c.instance,
			Context: policy.Context{"ec2:osuser": {c.user}, "aws:sourcevpce": nil}}
		if got := policy.Decide([]*policy.Policy{p}, r); got.Decision != c.want {
			t.Errorf("%s on %s as %s: %v, want %s", c.action, c.instance, c.user, got, c.want)
		}
	}
}

func TestOutputsAreWhatConnectTakes(t *testing.T) {
	command := regexp.MustCompile(`^ddbproxy connect --instance-connect (ddbproxy@)?(i-[0-9a-f]{17}) --region ([a-z0-9-]+)( --endpoint (\S+))?$`)
	for _, o := range allOptions {
		outputs := fromCloudFormation(t, o).Outputs
		m := command.FindStringSubmatch(outputs["connect"])
		if m == nil || (m[1] != "") != (o.relay != "") || m[2] != bastion || m[3] != region {
			t.Errorf("%s: %q", o.name, outputs["connect"])
			continue
		}
		if (m[5] != "") != (o.link != "") {
			t.Errorf("%s: endpoint %q", o.name, m[5])
		}
		if m[5] == "" {
			continue
		}
		ep, err := endpoint.Parse(m[5])
		if err != nil || ep.VPCE != link || (ep.Service == endpoint.Streams) != (o.link == "streams") {
			t.Errorf("%s: %+v: %v", o.name, ep, err)
		}
	}
	names := slices.Sorted(maps.Keys(fromTerraform(t, options{deny: true}).Outputs))
	if want := []string{"connect", "deny_policy_arn", "developer_policy_arn", "endpoint_ids", "instance_id"}; !slices.Equal(names, want) {
		t.Errorf("outputs %q, want %q", names, want)
	}
}

// program is one that a test needs: on PATH, or where scripts/test-deps puts it.
func program(t *testing.T, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		file, err = exec.LookPath("../../.tools/python/bin/" + name)
	}
	if err != nil {
		lacks(t, "no %s here: scripts/test-deps installs it", name)
	}
	return file
}

// lacks ends a test that this machine cannot run, as a failure where none may be
// left out.
func lacks(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("DDBPROXY_TEST_REQUIRE") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// cfn-lint knows CloudFormation's schemas.
func TestLint(t *testing.T) {
	lint := program(t, "cfn-lint")
	// W1030: parameters that may be empty are used where they are not.
	out, err := exec.Command(lint, "--ignore-checks", "W1030", "--", "ddbproxy.yaml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
