package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ddbproxy/ddbproxy/internal/policy"
)

// anybody is an identity policy that leaves the decision to the endpoint's.
var anybody = []*policy.Policy{{Version: policy.Version2012, Statements: []policy.Statement{
	{Effect: policy.EffectAllow, Action: policy.Values{"*"}, Resource: policy.Values{"*"}},
}}}

// lookPolicy sees that the endpoint's own policy lets the proof's call pass: the
// list of tables, or where one was named its description, and reading from it.
func (n *network) lookPolicy(_ context.Context, f *Facts) Finding {
	document := aws.ToString(n.endpoint.PolicyDocument)
	if document == "" {
		return Skip("EC2 does not show the policy of %s", f.VPCE)
	}
	p, err := policy.Parse([]byte(document))
	if err != nil {
		return Skip("the policy of %s is not understood: %v", f.VPCE, err)
	}
	scope := policy.Scope{VPCEs: []string{f.VPCE}, Region: n.region, Account: account(f)}
	subject, proof := policy.NoTable, "ListTables"
	if f.Table != "" {
		proof = "those on " + f.Table
		scope.Tables = []string{f.Table}
		subject = "table " + f.Table
	}
	var refused, unknown, depends []string
	tried, allowed := 0, 0
	for _, c := range policy.Check(anybody, []*policy.Policy{p}, scope).Calls {
		tried++
		must := c.Action == "dynamodb:ListTables"
		if f.Table != "" {
			must = c.Subject == subject && (c.Group == "read items" || c.Action == "dynamodb:DescribeTable")
		}
		switch d := c.Places[policy.Through]; {
		case d == policy.Allowed:
			allowed++
		case must && d == policy.Unknown:
			unknown, depends = append(unknown, c.Action), append(depends, c.Depends...)
		case must:
			refused = append(refused, c.Action)
		}
	}
	switch {
	case len(refused) > 0:
		return Bad(fmt.Sprintf("the policy of %s does not let %s pass", f.VPCE, some(refused)),
			"Whatever IAM allows, DynamoDB answers AccessDeniedException to what comes through the endpoint.",
			"add to it, by aws ec2 modify-vpc-endpoint --policy-document, what this prints: ddbproxy policy --endpoint-policy"+
				flagFor("--table", f.Table)+" --region "+n.region+flagFor("--account", account(f)))
	case len(unknown) > 0:
		slices.Sort(depends)
		return Skip("whether %s passes depends on %s", some(unknown), strings.Join(slices.Compact(depends), ", "))
	case allowed < tried:
		return Well("lets %d of %d kinds of calls pass, %s among them", allowed, tried, proof)
	}
	return Well("lets all calls pass")
}

func flagFor(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + " " + value
}

// some are the first few of a list.
func some(all []string) string {
	slices.Sort(all)
	all = slices.Compact(all)
	if n := len(all); n > 3 {
		return strings.Join(all[:3], ", ") + fmt.Sprintf(" and %d more", n-3)
	}
	return strings.Join(all, ", ")
}

// account is the caller's.
func account(f *Facts) string {
	if f.Account != "" {
		return f.Account
	}
	if parts := strings.Split(f.Identity, ":"); len(parts) == 6 {
		return parts[4]
	}
	return ""
}
