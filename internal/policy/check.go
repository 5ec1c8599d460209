package policy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Place is where a request comes from.
type Place int

// The places.
const (
	Through   Place = iota // through the endpoint, as with ddbproxy
	Elsewhere              // a tool on a laptop over the internet, or in another VPC
	Console                // AWS's console in a browser, over the internet
	Services               // an AWS service that acts for its caller
	places
)

// Decisions are those on one call from each place.
type Decisions [places]Decision

// MarshalJSON implements json.Marshaler.
func (d Decisions) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Through   Decision `json:"through_endpoint"`
		Elsewhere Decision `json:"elsewhere"`
		Console   Decision `json:"console"`
		Services  Decision `json:"aws_services"`
	}{d[Through], d[Elsewhere], d[Console], d[Services]})
}

// Call is what becomes of an action in each place.
type Call struct {
	Group    string    `json:"group"`   // what a person calls it
	Subject  string    `json:"subject"` // as the policy has it, or "any other table"
	Action   string    `json:"action"`
	Resource string    `json:"resource"`
	Places   Decisions `json:"decisions"`
	Depends  []string  `json:"depends_on,omitempty"` // what an unknown depends on
}

// Report is what policies let through.
type Report struct {
	VPCE string `json:"vpce"`
	// Problems are empty if DynamoDB is reached through the endpoint and in no other
	// way.
	Problems []string `json:"problems"`
	Calls    []Call   `json:"calls"`
}

// otherVPCE and otherVPC stand for all endpoints and VPCs that are not ours.
const (
	otherVPCE = "vpce-00000000000000000"
	otherVPC  = "vpc-00000000000000000"
)

// context is what is known of a request that comes through an endpoint, or over the
// internet if that is "". Only the one has aws:SourceVpce, and only the other
// aws:SourceIp (IAM User Guide, global condition context keys).
func (s Scope) context(from Place, vpce string) Context {
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
		"aws:resourceaccount":       {Some},
		"aws:userid":                {Some},
		"aws:currenttime":           {Some},
		"aws:requestedregion":       {Some},
	}
	if s.Region != "" {
		c["aws:requestedregion"] = []string{s.Region}
	}
	if s.Account != "" {
		c["aws:principalaccount"], c["aws:resourceaccount"] = []string{s.Account}, []string{s.Account}
	}
	if vpce != "" {
		c["aws:sourcevpce"], c["aws:sourceip"] = []string{vpce}, nil
		c["aws:sourcevpc"], c["aws:vpcsourceip"] = []string{Some}, []string{Some}
	}
	switch from {
	case Elsewhere:
		if vpce != "" {
			c["aws:sourcevpc"] = []string{otherVPC}
		}
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

// groups are the actions of the Service Authorization Reference, with the end of the
// ARN behind a table's.
var groups = []struct{ name, suffix, actions string }{
	{"read items", "", "GetItem BatchGetItem Query Scan ConditionCheckItem PartiQLSelect"},
	{"read an index", "/index/any", "Query Scan PartiQLSelect"},
	{"write items", "", "PutItem UpdateItem DeleteItem BatchWriteItem PartiQLInsert PartiQLUpdate PartiQLDelete"},
	{"describe the table", "", "DescribeTable DescribeTimeToLive DescribeContinuousBackups DescribeContributorInsights " +
		"DescribeKinesisStreamingDestination DescribeTableReplicaAutoScaling GetResourcePolicy ListTagsOfResource"},
	{"change the table", "", "CreateTable UpdateTable DeleteTable UpdateTimeToLive UpdateContinuousBackups UpdateContributorInsights " +
		"CreateTableReplica DeleteTableReplica UpdateTableReplicaAutoScaling EnableKinesisStreamingDestination " +
		"DisableKinesisStreamingDestination UpdateKinesisStreamingDestination PutResourcePolicy DeleteResourcePolicy TagResource UntagResource"},
	{"copy the table", "", "CreateBackup ExportTableToPointInTime ImportTable RestoreTableToPointInTime StartAwsBackupJob"},
	{"restore a backup", "/backup/any", "RestoreTableFromBackup RestoreTableFromAwsBackup DescribeBackup DeleteBackup"},
	{"read its stream", "/stream/any", "DescribeStream GetShardIterator GetRecords"},
}

// listActions are about no table.
const listActions = "ListTables ListStreams ListBackups ListExports ListImports ListContributorInsights ListGlobalTables DescribeLimits"

// AnyTable is the name that stands for tables which no policy names.
const AnyTable = "any-other"

// NoTable is the subject of calls that are about no table.
const NoTable = "no table"

// Check tries DynamoDB's calls on each table from each place. The identity policies
// are all that a user or role has; those of the endpoint gate what comes through it.
// Without tables in s it tries one for each ARN that the policies have, wildcards
// filled in, and one that they do not have.
func Check(identity, ofEndpoint []*Policy, s Scope) Report {
	r := Report{VPCE: s.VPCEs[0], Problems: []string{}}
	try := func(group, subject, action, resource string) {
		c := Call{Group: group, Subject: subject, Action: "dynamodb:" + action, Resource: resource}
		decide := func(policies []*Policy, from Place, vpce string) Decision {
			result := Decide(policies, Request{c.Action, resource, s.context(from, vpce)})
			c.Depends = append(c.Depends, result.Depends...)
			return result.Decision
		}
		c.Places = Decisions{
			Through:   decide(identity, Through, s.VPCEs[0]),
			Elsewhere: max(decide(identity, Elsewhere, ""), decide(identity, Elsewhere, otherVPCE)),
			Console:   decide(identity, Console, ""),
			Services:  decide(identity, Services, ""),
		}
		if len(ofEndpoint) > 0 {
			c.Places[Through] = min(c.Places[Through], decide(ofEndpoint, Through, s.VPCEs[0]))
		}
		if action == "DescribeEndpoints" { // AWS asks nobody about it on its public endpoints
			c.Places[Elsewhere], c.Places[Console] = Allowed, Allowed
		}
		slices.Sort(c.Depends)
		c.Depends = slices.Compact(c.Depends)
		r.Calls = append(r.Calls, c)
	}
	all := slices.Concat(identity, ofEndpoint)
	subjects, missed := s.subjects(all)
	more := otherActions(all)
	for _, t := range subjects {
		for _, g := range groups {
			for action := range strings.FieldsSeq(g.actions) {
				try(g.name, t.name, action, t.arn+g.suffix)
			}
		}
		for _, action := range more {
			try("other calls", t.name, action, t.arn)
		}
	}
	// AWS's own refusals name this resource for lists.
	lists := fill(Scope{Region: s.Region, Account: s.Account}.TableARN(""), s) + "*"
	for action := range strings.FieldsSeq(listActions) {
		try("list", NoTable, action, lists)
	}
	try("describe endpoints", NoTable, "DescribeEndpoints", "*")
	r.problems()
	for _, arn := range missed {
		r.Problems = append(r.Problems, "not tried: Resource "+arn)
	}
	return r
}

// subject is a table that is tried.
type subject struct{ name, arn string }

// subjects are the tables to try, and ARNs in the policies for which no table was
// found.
func (s Scope) subjects(policies []*Policy) (all []subject, missed []string) {
	add := func(name, arn string) {
		if !slices.ContainsFunc(all, func(other subject) bool { return other.arn == arn }) {
			all = append(all, subject{name, arn})
		}
	}
	for _, t := range s.Tables {
		add("table "+t, fill(s.TableARN(t), s))
	}
	if len(all) > 0 {
		return all, nil
	}
	for _, p := range policies {
		for _, st := range p.Statements {
			for _, pattern := range slices.Concat(st.Resource, st.NotResource) {
				parts := strings.SplitN(pattern, ":", 6)
				if parts[0] != "arn" || len(parts) > 2 && !wildcard(parts[2], "dynamodb") {
					continue // another service's, or any
				}
				for len(parts) < 6 {
					parts = append(parts, "*")
				}
				table, isTable := strings.CutPrefix(parts[5], "table/")
				table, _, _ = strings.Cut(table, "/")
				name := strings.Join(parts[:5], ":") + ":table/" + table
				arn := fill(name, s)
				// A pattern may end behind the table's name, and variables match nothing
				// for certain.
				tried := isTable || arnMatches(pattern, arn) || strings.Contains(pattern, "${")
				if !tried && st.Effect == EffectAllow {
					missed = append(missed, pattern)
				}
				if tried {
					add(name, arn)
				}
			}
		}
	}
	add("any other table", fill(s.TableARN(AnyTable), s))
	slices.Sort(missed)
	return all, slices.Compact(missed)
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// fill puts something definite in the place of an ARN's wildcards.
func fill(arn string, s Scope) string {
	if s.Region == "" {
		s.Region = "us-east-1"
	}
	if s.Account == "" {
		s.Account = "123456789012"
	}
	parts := strings.SplitN(arn, ":", 6)
	for i, definite := range []string{"arn", partition(s.Region), "dynamodb", s.Region, s.Account} {
		if i < len(parts) && strings.ContainsAny(parts[i], "*?$") {
			parts[i] = definite
		}
	}
	last := len(parts) - 1
	parts[last] = variable.ReplaceAllString(parts[last], AnyTable)
	parts[last] = strings.NewReplacer("*", AnyTable, "?", "x").Replace(parts[last])
	return strings.Join(parts, ":")
}

// otherActions are those that policies name beyond ours, wildcards filled in; they
// may be newer than this program.
func otherActions(policies []*Policy) (all []string) {
	ours := strings.Fields(listActions + " DescribeEndpoints")
	for _, g := range groups {
		ours = append(ours, strings.Fields(g.actions)...)
	}
	known := func(pattern string) bool {
		return slices.ContainsFunc(ours, func(action string) bool { return wildcard(pattern, "dynamodb:"+strings.ToLower(action)) })
	}
	for _, p := range policies {
		for _, s := range p.Statements {
			for _, pattern := range slices.Concat(s.Action, s.NotAction) {
				service, action, _ := strings.Cut(pattern, ":")
				if wildcard(strings.ToLower(service), "dynamodb") && !known(strings.ToLower(pattern)) {
					all = append(all, strings.NewReplacer("*", "Any", "?", "X").Replace(action))
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// problems tells what is not as it should be.
func (r *Report) problems() {
	through := false
	for _, c := range r.Calls {
		through = through || c.Places[Through] == Allowed
	}
	if !through {
		r.Problems = append(r.Problems, "nothing is certainly allowed through the endpoint")
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
			r.Problems = append(r.Problems, in.problem+": "+strings.Join(actions, ", "))
		}
	}
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
