package vpc

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/ddbproxy/ddbproxy/internal/policy"
)

// iam answers IAM's calls.
func (s *Server) iam(c call) (any, *failure) {
	switch c.action {
	case "GetRole":
		return s.getRole(c.form.Get("RoleName"))
	case "SimulatePrincipalPolicy":
		return s.simulate(c)
	}
	return nil, &failure{http.StatusBadRequest, "InvalidAction", "Could not find operation " + c.action}
}

func (s *Server) getRole(name string) (any, *failure) {
	for _, p := range s.Principals {
		if _, path, ok := strings.Cut(p.ARN, ":role/"); ok && path[strings.LastIndexByte(path, '/')+1:] == name {
			type role struct {
				Arn, RoleName string
			}
			return struct {
				XMLName xml.Name `xml:"https://iam.amazonaws.com/doc/2010-05-08/ GetRoleResponse"`
				Role    role     `xml:"GetRoleResult>Role"`
			}{Role: role{p.ARN, name}}, nil
		}
	}
	return nil, &failure{http.StatusNotFound, "NoSuchEntity", "The role with name " + name + " cannot be found."}
}

// evaluation is what IAM makes of one call.
type evaluation struct {
	EvalActionName, EvalResourceName, EvalDecision string

	Matched      policyIDs `xml:"MatchedStatements"`
	Missing      []string  `xml:"MissingContextValues>member"`
	Organization *bool     `xml:"OrganizationsDecisionDetail>AllowedByOrganizations"`
	Boundary     *bool     `xml:"PermissionsBoundaryDecisionDetail>AllowedByPermissionsBoundary"`
}

func (s *Server) simulate(c call) (any, *failure) {
	arn := c.form.Get("PolicySourceArn")
	i := slices.IndexFunc(s.Principals, func(p Principal) bool { return p.ARN == arn })
	if i < 0 {
		return nil, &failure{http.StatusNotFound, "NoSuchEntity", arn + " cannot be found."}
	}
	// IAM takes keys that are not given as absent, and tells which it missed.
	context := policy.Context{"aws:sourcevpce": nil, "aws:sourcevpc": nil}
	for n := 1; ; n++ {
		entry := fmt.Sprintf("ContextEntries.member.%d.", n)
		key := c.form.Get(entry + "ContextKeyName")
		if key == "" {
			break
		}
		context[strings.ToLower(key)] = c.list(entry + "ContextKeyValues.member")
	}
	resources := c.list("ResourceArns.member")
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	var results []evaluation
	for _, action := range c.list("ActionNames.member") {
		for _, resource := range resources {
			e, failed := s.Principals[i].evaluate(policy.Request{Action: action, Resource: resource, Context: context})
			if failed != nil {
				return nil, failed
			}
			results = append(results, e)
		}
	}
	return struct {
		XMLName xml.Name     `xml:"https://iam.amazonaws.com/doc/2010-05-08/ SimulatePrincipalPolicyResponse"`
		Results []evaluation `xml:"SimulatePrincipalPolicyResult>EvaluationResults>member"`
	}{Results: results}, nil
}

func (p Principal) evaluate(r policy.Request) (evaluation, *failure) {
	decide := func(documents ...string) (policy.Result, *failure) {
		var all []*policy.Policy
		for _, d := range documents {
			parsed, err := policy.Parse([]byte(d))
			if err != nil {
				return policy.Result{}, &failure{http.StatusBadRequest, "PolicyEvaluation", err.Error()}
			}
			all = append(all, parsed)
		}
		return policy.Decide(all, r), nil
	}
	e := evaluation{EvalActionName: r.Action, EvalResourceName: r.Resource, EvalDecision: "implicitDeny"}
	result, failed := decide(slices.Collect(maps.Values(p.Policies))...)
	if failed != nil {
		return e, failed
	}
	// Those that decided: where one denies, not those that allow (API reference,
	// EvaluationResult).
	for name, document := range p.Policies {
		if one, _ := decide(document); one.Decision == result.Decision && one.Decision != policy.NotAllowed {
			e.Matched = append(e.Matched, name)
		}
	}
	slices.Sort(e.Matched)
	e.Missing = result.Depends
	switch result.Decision {
	case policy.Denied:
		e.EvalDecision = "explicitDeny"
	case policy.Allowed:
		e.EvalDecision = "allowed"
	}
	for _, l := range []struct {
		document string
		told     **bool
	}{{p.Boundary, &e.Boundary}, {p.Organization, &e.Organization}} {
		if l.document == "" {
			continue
		}
		limit, failed := decide(l.document)
		if failed != nil {
			return e, failed
		}
		ok := limit.Decision == policy.Allowed
		*l.told = &ok
		if !ok && e.EvalDecision == "allowed" {
			e.EvalDecision = "implicitDeny"
		}
	}
	return e, nil
}
