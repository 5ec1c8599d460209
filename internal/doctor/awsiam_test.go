package doctor

import (
	"slices"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/policy"
	"github.com/ddbproxy/ddbproxy/internal/vpc"
)

// own gives the caller of a scene its policies.
func own(s *vpc.Server, f *Facts, arn string, policies map[string]string) *vpc.Principal {
	s.Principals = []vpc.Principal{{ARN: arn, Policies: policies}}
	return &s.Principals[0]
}

// document is a policy as ddbproxy policy prints it.
func document(p *policy.Policy) string {
	text, err := p.JSON()
	if err != nil {
		panic(err)
	}
	return string(text)
}

const (
	devARN = "arn:aws:iam::123456789012:user/dev"
	ssoARN = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_dev_0123456789abcdef"
	admin  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
)

// ofScene is the scope of the policies that ddbproxy advises there.
var ofScene = policy.Scope{VPCEs: []string{sceneVPCE}, Region: "eu-west-1", Account: "123456789012"}

// moto simulates no policies: these are played by the fake only.
var iamTroubles = []trouble{
	{name: "only through the endpoint", change: func(s *vpc.Server, f *Facts) {
		own(s, f, devARN, map[string]string{"allow": document(policy.Allow(ofScene))})
	}},
	{name: "an administrator, and the policy that denies", change: func(s *vpc.Server, f *Facts) {
		own(s, f, devARN, map[string]string{"admin": admin, "deny": document(policy.Deny(ofScene))})
	}},
	{name: "an administrator", change: func(s *vpc.Server, f *Facts) { own(s, f, devARN, map[string]string{"admin": admin}) }},
	{name: "a policy for another endpoint", change: func(s *vpc.Server, f *Facts) {
		other := ofScene
		other.VPCEs = []string{"vpce-0old"}
		own(s, f, devARN, map[string]string{"allow": document(policy.Allow(other))})
	}},
	{name: "a policy that denies all but another endpoint", change: func(s *vpc.Server, f *Facts) {
		other := ofScene
		other.VPCEs = []string{"vpce-0old"}
		own(s, f, devARN, map[string]string{"admin": admin, "old-deny": document(policy.Deny(other))})
	}},
	{name: "no policy", change: func(s *vpc.Server, f *Facts) { own(s, f, devARN, nil) }},
	{name: "a policy for one table", change: func(s *vpc.Server, f *Facts) {
		tables := ofScene
		tables.Tables = []string{"music"}
		p := policy.Allow(tables)
		p.Statements = p.Statements[:1] // without the lists
		own(s, f, devARN, map[string]string{"music": document(p)})
	}},
	{name: "the table that was named is another", change: func(s *vpc.Server, f *Facts) {
		f.Table = "books"
		tables := ofScene
		tables.Tables = []string{"music"}
		own(s, f, devARN, map[string]string{"music": document(policy.Allow(tables))})
	}},
	{name: "the table that was named", change: func(s *vpc.Server, f *Facts) {
		f.Table = "music"
		tables := ofScene
		tables.Tables = []string{"music"}
		own(s, f, devARN, map[string]string{"music": document(policy.Allow(tables))})
	}},
	{name: "a policy with a condition that is not known here", change: func(s *vpc.Server, f *Facts) {
		own(s, f, devARN, map[string]string{"team": allowing(`{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"music"}}}`)})
	}},
	{name: "a permissions boundary", change: func(s *vpc.Server, f *Facts) {
		own(s, f, devARN, map[string]string{"allow": document(policy.Allow(ofScene))}).Boundary = allowing(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)
	}},
	{name: "a service control policy", change: func(s *vpc.Server, f *Facts) {
		own(s, f, devARN, map[string]string{"allow": document(policy.Allow(ofScene))}).Organization = allowing(`{"Effect":"Allow","NotAction":"dynamodb:*","Resource":"*"}`)
	}},
	{name: "a role with a path", change: func(s *vpc.Server, f *Facts) {
		f.Identity = "arn:aws:sts::123456789012:assumed-role/dev/session"
		own(s, f, "arn:aws:iam::123456789012:role/team/dev", map[string]string{"allow": document(policy.Allow(ofScene))})
	}},
	{name: "a role without a path, and GetRole is refused", change: func(s *vpc.Server, f *Facts) {
		f.Identity = "arn:aws:sts::123456789012:assumed-role/dev/session"
		s.Refused = []string{"iam:GetRole"}
		own(s, f, "arn:aws:iam::123456789012:role/dev", nil)
	}},
	{name: "a role with a path, and GetRole is refused", change: func(s *vpc.Server, f *Facts) {
		f.Identity = "arn:aws:sts::123456789012:assumed-role/dev/session"
		s.Refused = []string{"iam:GetRole"}
		own(s, f, "arn:aws:iam::123456789012:role/team/dev", nil)
	}},
	{name: "a role of Identity Center", change: func(s *vpc.Server, f *Facts) {
		f.Identity = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_dev_0123456789abcdef/dev@example.com"
		own(s, f, ssoARN, map[string]string{"admin": admin})
	}},
	{name: "a role of Identity Center without policies", change: func(s *vpc.Server, f *Facts) {
		f.Identity = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_dev_0123456789abcdef/dev@example.com"
		own(s, f, ssoARN, nil)
	}},
	{name: "a role of Identity Center, and GetRole is refused", change: func(s *vpc.Server, f *Facts) {
		f.Identity = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_dev_0123456789abcdef/dev@example.com"
		s.Refused = []string{"iam:GetRole"}
		own(s, f, ssoARN, nil)
	}},
	{name: "the root user", change: func(s *vpc.Server, f *Facts) { f.Identity = "arn:aws:iam::123456789012:root" }},
	{name: "nobody knows who calls", change: func(s *vpc.Server, f *Facts) { f.Identity = "" }},
	{name: "no permission to simulate", change: func(s *vpc.Server, f *Facts) {
		s.Refused = []string{"iam:SimulatePrincipalPolicy"}
		own(s, f, devARN, nil)
	}},
}

// iamChecks are those of IAM, and what they need.
func iamChecks() []Check {
	return slices.DeleteFunc(AWSChecks(), func(c Check) bool {
		return !slices.Contains([]string{"aws.endpoint", "aws.iam", "aws.iam.elsewhere"}, c.ID)
	})
}

func TestEachTroubleOfIAMIsNamed(t *testing.T) {
	seen := played(t, "testdata/iam.txt", iamTroubles, iamChecks)
	for _, id := range []string{"aws.iam", "aws.iam.elsewhere"} {
		for _, o := range []Outcome{OK, Failed, Skipped} {
			if !slices.Contains(seen[id], o) {
				t.Errorf("in no scene is %s %s", id, o)
			}
		}
	}
}
