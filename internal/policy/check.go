package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A Place is where a request comes from.
type Place int

// The places.
const (
	Through   Place = iota // through the endpoint, as with ddbproxy
	Elsewhere              // a tool on a laptop, over the internet
	Console                // AWS's console in a browser, over the internet
	Services               // an AWS service that acts for its caller
	places
)

// Call is what becomes of an action in each place.
type Call struct {
	Group    string              `json:"group"` // what a person calls it
	Action   string              `json:"action"`
	Resource string              `json:"resource"`
	Places   [places]Decision    `json:"-"`
	Depends  []string            `json:"depends_on,omitempty"` // what an unknown depends on
	ByName   map[string]Decision `json:"decisions"`
}

// PlaceNames are the places in JSON.
var PlaceNames = [places]string{"through_endpoint", "elsewhere", "console", "aws_services"}

// Report is what policies let through.
type Report struct {
	VPCE string `json:"vpce"`
	// Problems are empty if DynamoDB is reached through the endpoint and in no other
	// way.
	Problems []string `json:"problems"`
	Calls    []Call   `json:"calls"`
}

// context is what is known of a request from a place. Requests through an endpoint
// have no aws:SourceIp, those over the internet have nothing else (IAM User Guide,
// global condition context keys).
func (s Scope) context(from Place) Context {
	c := Context{
		"aws:viaawsservice":         {"false"},
		"aws:calledvia":             nil,
		"aws:calledviafirst":        nil,
		"aws:calledvialast":         nil,
		"aws:principalisawsservice": {"false"},
		"aws:securetransport":       {"true"},
		"aws:sourcevpce":            nil,
		"aws:sourcevpc":             nil,
		"aws:vpcsourceip":           nil,
		"aws:sourceip":              {Some},
		"aws:principalarn":          {Some},
		"aws:principalaccount":      {Some},
		"aws:userid":                {Some},
		"aws:currenttime":           {Some},
		"aws:requestedregion":       {Some},
	}
	if s.Region != "" {
		c["aws:requestedregion"] = []string{s.Region}
	}
	if s.Account != "" {
		c["aws:principalaccount"] = []string{s.Account}
	}
	switch from {
	case Through:
		c["aws:sourcevpce"] = s.VPCEs[:1]
		c["aws:sourcevpc"], c["aws:vpcsourceip"], c["aws:sourceip"] = []string{Some}, []string{Some}, nil
	case Console: // it works with temporary credentials only
		c["aws:tokenissuetime"] = []string{Some}
	case Services:
		c["aws:viaawsservice"] = []string{"true"}
		for _, key := range []string{"aws:calledvia", "aws:calledviafirst", "aws:calledvialast"} {
			c[key] = []string{Some}
		}
		delete(c, "aws:sourceip") // the caller's or none, as the service has it
	}
	return c
}

// groups are the actions that are tried, with the end of the ARN behind a table's.
var groups = []struct{ name, suffix, actions string }{
	{"read items", "", "GetItem BatchGetItem Query Scan ConditionCheckItem PartiQLSelect"},
	{"read an index", "/index/any", "Query Scan PartiQLSelect"},
	{"write items", "", "PutItem UpdateItem DeleteItem BatchWriteItem PartiQLInsert PartiQLUpdate PartiQLDelete"},
	{"describe the table", "", "DescribeTable DescribeTimeToLive DescribeContinuousBackups ListTagsOfResource"},
	{"change the table", "", "CreateTable UpdateTable DeleteTable UpdateTimeToLive UpdateContinuousBackups TagResource"},
	{"read its stream", "/stream/any", "DescribeStream GetShardIterator GetRecords"},
}

// AnyTable is the name that stands for tables which no policy names.
const AnyTable = "any-other"

// Check tries DynamoDB's calls on each table from each place. The identity policies
// are all that a user or role has; those of the endpoint gate what comes through it.
// Without tables in s it tries those that the policies name, and one they do not.
func Check(identity, ofEndpoint []*Policy, s Scope) Report {
	r := Report{VPCE: s.VPCEs[0], Problems: []string{}}
	contexts := [places]Context{}
	for from := range places {
		contexts[from] = s.context(from)
	}
	try := func(group, action, resource string) {
		c := Call{Group: group, Action: "dynamodb:" + action, Resource: resource, ByName: map[string]Decision{}}
		for from := range places {
			request := Request{c.Action, resource, contexts[from]}
			result := Decide(identity, request)
			if from == Through && len(ofEndpoint) > 0 {
				result = both(result, Decide(ofEndpoint, request))
			}
			// AWS does not ask anybody about this call on its public endpoints.
			if action == "DescribeEndpoints" && (from == Elsewhere || from == Console) {
				result = Result{Decision: Allowed}
			}
			c.Places[from], c.ByName[PlaceNames[from]] = result.Decision, result.Decision
			c.Depends = append(c.Depends, result.Depends...)
		}
		slices.Sort(c.Depends)
		c.Depends = slices.Compact(c.Depends)
		r.Calls = append(r.Calls, c)
	}
	tables := s.Tables
	if len(tables) == 0 {
		tables = append(named(slices.Concat(identity, ofEndpoint)), AnyTable)
	}
	concrete := s
	for _, t := range []struct {
		part *string
		any  string
	}{{&concrete.Region, "us-east-1"}, {&concrete.Account, "123456789012"}} {
		if *t.part == "" {
			*t.part = t.any
		}
	}
	for _, t := range tables {
		arn := concrete.fill(concrete.TableARN(t))
		for _, g := range groups {
			for action := range strings.FieldsSeq(g.actions) {
				try(g.name, action, arn+g.suffix)
			}
		}
	}
	try("list tables", "ListTables", concrete.TableARN("*")) // as AWS's own refusals name it
	try("describe endpoints", "DescribeEndpoints", "*")
	r.Problems = append(r.Problems, r.problems()...)
	return r
}

// both is what two gates in a row let through.
func both(a, b Result) Result {
	switch {
	case a.Decision == Denied || b.Decision == Denied:
		return Result{Decision: Denied}
	case a.Decision == NotAllowed || b.Decision == NotAllowed:
		return Result{Decision: NotAllowed}
	case a.Decision == Allowed && b.Decision == Allowed:
		return a
	}
	return Result{Unknown, append(a.Depends, b.Depends...)}
}

// named are the tables that policies name without wildcards in the name.
func named(policies []*Policy) (arns []string) {
	for _, p := range policies {
		for _, s := range p.Statements {
			for _, arn := range slices.Concat(s.Resource, s.NotResource) {
				parts := strings.SplitN(arn, ":", 6)
				if len(parts) < 6 || !wildcard(parts[2], "dynamodb") {
					continue
				}
				table, ok := strings.CutPrefix(parts[5], "table/")
				table, _, _ = strings.Cut(table, "/")
				parts[5] = "table/" + table
				if arn = strings.Join(parts, ":"); ok && table != "" && !strings.ContainsAny(table, "*?$") && !slices.Contains(arns, arn) {
					arns = append(arns, arn)
				}
			}
		}
	}
	return arns
}

// fill puts something definite in the place of an ARN's wildcards.
func (s Scope) fill(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	for i, definite := range []string{"arn", partition(s.Region), "dynamodb", s.Region, s.Account} {
		if i < len(parts) && strings.ContainsAny(parts[i], "*?$") {
			parts[i] = definite
		}
	}
	return strings.Join(parts, ":")
}

func (r *Report) problems() (all []string) {
	through := false
	for _, c := range r.Calls {
		through = through || c.Places[Through] == Allowed
	}
	if !through {
		all = append(all, "nothing is certainly allowed through the endpoint")
	}
	for _, in := range []struct {
		place    Place
		decision Decision
		problem  string
	}{
		{Elsewhere, Allowed, "allowed from elsewhere, past the endpoint"},
		{Elsewhere, Unknown, "perhaps allowed from elsewhere, past the endpoint"},
		{Console, Allowed, "allowed in the console"},
		{Console, Unknown, "perhaps allowed in the console"},
	} {
		var actions []string
		for _, c := range r.Calls {
			if c.Places[in.place] == in.decision && c.Action != "dynamodb:DescribeEndpoints" && !slices.Contains(actions, c.Action) {
				actions = append(actions, c.Action)
			}
		}
		if n := len(actions); n > 3 {
			actions = append(actions[:3], fmt.Sprintf("and %d more", n-3))
		}
		if len(actions) > 0 {
			all = append(all, in.problem+": "+strings.Join(actions, ", "))
		}
	}
	return all
}

// Endpoints are the ids that conditions on aws:SourceVpce have.
func Endpoints(policies []*Policy) (ids []string) {
	for _, p := range policies {
		for _, s := range p.Statements {
			for _, c := range s.Condition {
				for _, v := range c.Values {
					if strings.EqualFold(c.Key, "aws:SourceVpce") && strings.HasPrefix(v, "vpce-") && !strings.ContainsAny(v, "*?$") && !slices.Contains(ids, v) {
						ids = append(ids, v)
					}
				}
			}
		}
	}
	return ids
}
