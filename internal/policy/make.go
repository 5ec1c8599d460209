package policy

import (
	"fmt"
	"strings"
)

// Scope is what a policy is about.
type Scope struct {
	VPCEs   []string // endpoint ids, at least one
	Tables  []string // names or ARNs; none means all tables
	Region  string   // of tables that are given by name; "" means any
	Account string   // 12 digits, as Region
}

// notOfTables are the calls that are about no table, so that a policy for some
// tables has to allow them apart (Service Authorization Reference).
var notOfTables = Values{"dynamodb:DescribeEndpoints", "dynamodb:DescribeLimits", "dynamodb:ListStreams", "dynamodb:ListTables"}

// Allow is a policy for users and roles that allows DynamoDB through the endpoints
// only. Other policies can still allow more.
func Allow(s Scope) *Policy {
	through := Conditions{{"StringEquals", "aws:SourceVpce", s.VPCEs}}
	p := &Policy{Version: Version2012, Statements: []Statement{{
		Sid: "DynamoDBThroughEndpoint", Effect: EffectAllow, Action: Values{"dynamodb:*"}, Resource: s.resources(), Condition: through,
	}}}
	if len(s.Tables) > 0 {
		p.Statements = append(p.Statements, Statement{
			Sid: "ListThroughEndpoint", Effect: EffectAllow, Action: notOfTables, Resource: Values{"*"}, Condition: through,
		})
	}
	return p
}

// Deny is a policy for users and roles that denies DynamoDB past the endpoints,
// whatever other policies allow. By itself it allows nothing. Calls that an AWS
// service makes for its caller do not come through an endpoint of ours and are left
// to other policies; IfExists because few requests had the key at first.
func Deny(s Scope) *Policy {
	return &Policy{Version: Version2012, Statements: []Statement{{
		Sid: "NoDynamoDBPastEndpoint", Effect: EffectDeny, Action: Values{"dynamodb:*"}, Resource: s.resources(),
		Condition: Conditions{
			{"StringNotEquals", "aws:SourceVpce", s.VPCEs},
			{"BoolIfExists", "aws:ViaAWSService", Values{"false"}},
		},
	}}}
}

// ForEndpoint is the policy of the endpoint itself: what may pass it, whoever
// calls, or whoever calls from the account if there is one. DescribeEndpoints needs
// a statement of its own as soon as tables are named.
func ForEndpoint(s Scope) *Policy {
	var who Conditions
	if s.Account != "" {
		who = Conditions{{"StringEquals", "aws:PrincipalAccount", Values{s.Account}}}
	}
	everybody := []byte(`"*"`)
	p := &Policy{Version: Version2012, Statements: []Statement{{
		Sid: "DynamoDB", Effect: EffectAllow, Principal: everybody, Action: Values{"dynamodb:*"}, Resource: s.resources(), Condition: who,
	}}}
	if len(s.Tables) > 0 {
		p.Statements = append(p.Statements, Statement{
			Sid: "List", Effect: EffectAllow, Principal: everybody, Action: notOfTables, Resource: Values{"*"}, Condition: who,
		})
	}
	return p
}

// resources are the tables with their indexes, streams, backups and exports.
func (s Scope) resources() Values {
	if len(s.Tables) == 0 {
		return Values{"*"}
	}
	var all Values
	for _, t := range s.Tables {
		arn := s.TableARN(t)
		all = append(all, arn, arn+"/*")
	}
	return all
}

// TableARN is the ARN of a table that is given by its name or ARN.
func (s Scope) TableARN(table string) string {
	if strings.HasPrefix(table, "arn:") {
		return table
	}
	return fmt.Sprintf("arn:%s:dynamodb:%s:%s:table/%s", partition(s.Region), orAny(s.Region), orAny(s.Account), table)
}

func orAny(s string) string {
	if s == "" {
		return "*"
	}
	return s
}

// partition is that of a region; unknown ones are matched whatever they are.
func partition(region string) string {
	switch {
	case region == "":
		return "*"
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	case strings.HasPrefix(region, "us-iso"), strings.HasPrefix(region, "eu-isoe-"), strings.HasPrefix(region, "eusc-"):
		return "*" // there are several
	}
	return "aws"
}
