package policy

import (
	"reflect"
	"strings"
	"testing"
)

func decisions(r Report, action string) Decisions {
	for _, c := range r.Calls {
		if c.Action == "dynamodb:"+action {
			return c.Places
		}
	}
	return Decisions{}
}

func TestWhatTheAdvisedPoliciesLetThrough(t *testing.T) {
	t.Parallel()
	admin := one(t, "Allow", `"Action":"*","Resource":"*"`)
	scope := Scope{VPCEs: []string{vpce}, Region: "eu-west-1", Account: "123456789012"}
	tables := scope
	tables.Tables = []string{"music"}
	two := scope
	two.VPCEs = []string{other, vpce}
	const a, n, d = Allowed, NotAllowed, Denied
	for _, c := range []struct {
		name     string
		policies []*Policy
		action   string
		want     Decisions // through, elsewhere, console, services
		problem  string
	}{
		{"allow", []*Policy{Allow(scope)}, "GetItem", Decisions{a, n, n, n}, ""},
		{"allow", []*Policy{Allow(scope)}, "ListTables", Decisions{a, n, n, n}, ""},
		{"allow, of two endpoints", []*Policy{Allow(two)}, "GetItem", Decisions{a, n, n, n}, ""},
		{"allow, table", []*Policy{Allow(tables)}, "Query", Decisions{a, n, n, n}, ""},
		{"allow, table", []*Policy{Allow(tables)}, "ListTables", Decisions{a, n, n, n}, ""},
		{"allow, table", []*Policy{Allow(tables)}, "DescribeEndpoints", Decisions{a, a, a, n}, ""},
		{"administrator", []*Policy{admin}, "GetItem", Decisions{a, a, a, a}, "allowed from elsewhere, past the endpoint: dynamodb:GetItem, dynamodb:BatchGetItem, dynamodb:Query, and "},
		{"administrator and allow", []*Policy{admin, Allow(scope)}, "GetItem", Decisions{a, a, a, a}, "allowed in the console"},
		{"administrator and deny", []*Policy{admin, Deny(scope)}, "GetItem", Decisions{a, d, d, a}, ""},
		{"administrator and deny, of two endpoints", []*Policy{admin, Deny(two)}, "GetItem", Decisions{a, d, d, a}, ""},
		{"administrator and deny", []*Policy{admin, Deny(scope)}, "DescribeEndpoints", Decisions{a, a, a, a}, ""},
		{"administrator and deny, table", []*Policy{admin, Deny(tables)}, "GetItem", Decisions{a, d, d, a}, "elsewhere, past the endpoint: dynamodb:ListTables"},
		{"deny alone", []*Policy{Deny(scope)}, "GetItem", Decisions{n, d, d, n}, "nothing is certainly allowed through"},
		{"by address", []*Policy{one(t, "Allow", `"Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`)}, "GetItem",
			Decisions{n, Unknown, Unknown, Unknown}, "perhaps allowed from elsewhere"},
		{"people in the console only", []*Policy{one(t, "Allow", `"Action":"*","Resource":"*","Condition":{"Null":{"aws:TokenIssueTime":"false"}}`)}, "GetItem",
			Decisions{Unknown, Unknown, a, Unknown}, "allowed in the console"},
	} {
		scope := Scope{VPCEs: []string{vpce}, Tables: []string{"music"}, Region: "eu-west-1", Account: "123456789012"}
		r := Check(c.policies, nil, scope)
		if got := decisions(r, c.action); got != c.want {
			t.Errorf("%s: %s is %v, want %v", c.name, c.action, got, c.want)
		}
		if got := strings.Join(r.Problems, "\n"); c.problem == "" && got != "" || !strings.Contains(got, c.problem) {
			t.Errorf("%s: problems %q, want %q", c.name, got, c.problem)
		}
	}
}

func TestTheEndpointsPolicyIsAGateOfItsOwn(t *testing.T) {
	t.Parallel()
	scope := Scope{VPCEs: []string{vpce}, Account: "123456789012"}
	tables := scope
	tables.Tables = []string{"music"}
	allow := []*Policy{Allow(scope)}
	if got := decisions(Check(allow, []*Policy{ForEndpoint(scope)}, scope), "GetItem"); got[Through] != Allowed {
		t.Errorf("own account: %v", got)
	}
	stranger := scope
	stranger.Account = "210987654321"
	if got := decisions(Check(allow, []*Policy{ForEndpoint(scope)}, stranger), "GetItem"); got[Through] != NotAllowed {
		t.Errorf("another account: %v", got)
	}
	r := Check(allow, []*Policy{ForEndpoint(tables)}, scope)
	for _, c := range r.Calls {
		want := Allowed
		if c.Subject == "any other table" || c.Group == "list" && !strings.Contains("ListTables ListStreams DescribeLimits", strings.TrimPrefix(c.Action, "dynamodb:")) {
			want = NotAllowed // of two tables: one the policies name, and another
		}
		if c.Places[Through] != want {
			t.Errorf("%s on %s: %v, want %v", c.Action, c.Resource, c.Places[Through], want)
		}
	}
	if got := decisions(r, "DescribeEndpoints"); got[Through] != Allowed {
		t.Errorf("DescribeEndpoints: %v", got)
	}
}

// What a policy allows past the endpoint is found wherever it hides.
func TestNothingIsAllowedUnseen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rest, problem string }{
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/dev-*"`, "allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/d?v"`, "allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb:eu-north-1:210987654321:table/*"`, "allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb:eu-north-1"`, "allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:*music"`, "allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/music/index/*"`, "allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/${aws:username}"`, "perhaps allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/${aws:username}-*"`, "perhaps allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"music"`, "perhaps allowed from elsewhere"},
		{`"Action":"dynamodb:*","Resource":"arn:aws:dynamodb::*:global-table/music"`, "not tried: Resource arn:aws:dynamodb::*:global-table/music"},
		{`"Action":"dynamodb:ExportTable*","Resource":"*"`, "allowed from elsewhere, past the endpoint: dynamodb:ExportTableToPointInTime"},
		{`"Action":"dynamodb:FutureCall","Resource":"*"`, "allowed from elsewhere, past the endpoint: dynamodb:FutureCall"},
		{`"Action":"dynamo*:FutureC*","Resource":"*"`, "allowed from elsewhere, past the endpoint: dynamodb:FutureCAny"},
		{`"NotAction":"dynamodb:GetItem","Resource":"*"`, "allowed from elsewhere"},
		{`"Action":"*","NotResource":"arn:aws:dynamodb:*:*:table/music"`, "allowed from elsewhere"},
		{`"Action":"*","Resource":"*","Condition":{"Null":{"aws:SourceVpce":"false"}}`, "allowed from elsewhere"}, // another's endpoint
		{`"Action":"*","Resource":"*","Condition":{"StringLike":{"aws:SourceVpce":"vpce-*"}}`, "allowed from elsewhere"},
		{`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-0123"}}`, ""},
		{`"Action":"*","Resource":"*","Condition":{"StringLike":{"aws:SourceVpc":"vpc-*"}}`, "allowed from elsewhere"},
		{`"Action":"s3:*","Resource":"*"`, ""},
	} {
		scope := Scope{VPCEs: []string{vpce}}
		r := Check([]*Policy{Allow(scope), one(t, "Allow", c.rest)}, nil, scope)
		if got := strings.Join(r.Problems, "\n"); c.problem == "" && got != "" || !strings.Contains(got, c.problem) {
			t.Errorf("%s: problems %q, want %q", c.rest, got, c.problem)
		}
	}
}

func TestARNsOfTables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ region, account, table, want string }{
		{"", "", "music", "arn:*:dynamodb:*:*:table/music"},
		{"eu-west-1", "123456789012", "music", music},
		{"cn-north-1", "", "music", "arn:aws-cn:dynamodb:cn-north-1:*:table/music"},
		{"us-gov-west-1", "", "music", "arn:aws-us-gov:dynamodb:us-gov-west-1:*:table/music"},
		{"cn-north-1", "", music, music},
	} {
		if got := (Scope{Region: c.region, Account: c.account}).TableARN(c.table); got != c.want {
			t.Errorf("%s in %q: %s, want %s", c.table, c.region, got, c.want)
		}
	}
}

func TestEndpointsOfPolicies(t *testing.T) {
	t.Parallel()
	got := Endpoints([]*Policy{Allow(Scope{VPCEs: []string{vpce}}), Deny(Scope{VPCEs: []string{other, vpce}})})
	if want := []string{vpce, other}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
