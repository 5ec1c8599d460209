package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/ddbproxy/ddbproxy/internal/policy"
)

// ssoRole begins the names of the roles that IAM Identity Center makes.
const ssoRole = "AWSReservedSSO_"

// who is the user or role that can be simulated.
type who struct {
	arn  string
	kind string // user or role
	name string
}

// simulated finds whom the caller's policies belong to. An assumed role's ARN has
// the name of the role without its path, which GetRole tells; where that may not
// be asked, a role of one's own making is taken to have none.
func (n *network) simulated(ctx context.Context, f *Facts) (who, *Finding) {
	skip := func(s Finding) (who, *Finding) { return who{}, &s }
	parts := strings.SplitN(f.Identity, ":", 6)
	if len(parts) < 6 {
		return skip(Skip("it is not known whose credentials these are"))
	}
	partition, account, resource := parts[1], parts[4], strings.Split(parts[5], "/")
	name := resource[len(resource)-1]
	switch {
	case resource[0] == "user":
		return who{f.Identity, "user", name}, nil
	case resource[0] != "assumed-role" || len(resource) < 3:
		return skip(Skip("IAM does not simulate %s, only users and roles", parts[5]))
	}
	name = resource[1]
	out, err := n.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(name)})
	switch {
	case err == nil:
		return who{aws.ToString(out.Role.Arn), "role", name}, nil
	case strings.HasPrefix(name, ssoRole): // their path has the region in it
		return skip(unasked(err, "iam:GetRole"))
	}
	return who{fmt.Sprintf("arn:%s:iam::%s:role/%s", partition, account, name), "role", name}, nil
}

// simulate asks IAM what becomes of the proof's call: the list of tables, or where
// one was named its description, and reading from it. vpce is the endpoint that it
// comes through, "" for none.
func (n *network) simulate(ctx context.Context, f *Facts, w who, vpce string) ([]types.EvaluationResult, *Finding) {
	entry := func(key, value string, kind types.ContextKeyTypeEnum) types.ContextEntry {
		return types.ContextEntry{ContextKeyName: aws.String(key), ContextKeyType: kind, ContextKeyValues: []string{value}}
	}
	known := []types.ContextEntry{
		entry("aws:ViaAWSService", "false", types.ContextKeyTypeEnumBoolean),
		entry("aws:SecureTransport", "true", types.ContextKeyTypeEnumBoolean),
		entry("aws:RequestedRegion", n.region, types.ContextKeyTypeEnumString),
	}
	if vpce != "" {
		known = append(known, entry("aws:SourceVpce", vpce, types.ContextKeyTypeEnumString))
		if f.VPC != "" {
			known = append(known, entry("aws:SourceVpc", f.VPC, types.ContextKeyTypeEnumString))
		}
	}
	ask := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(w.arn), ContextEntries: known, ActionNames: []string{"dynamodb:ListTables"}}
	if f.Table != "" {
		ask.ActionNames = []string{"dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"}
		ask.ResourceArns = []string{policy.Scope{Region: n.region, Account: account(f)}.TableARN(f.Table)}
	}
	var all []types.EvaluationResult
	for pages := iam.NewSimulatePrincipalPolicyPaginator(n.iam, ask); pages.HasMorePages(); {
		out, err := pages.NextPage(ctx)
		var gone *types.NoSuchEntityException
		switch {
		case errors.As(err, &gone):
			s := Skip("IAM does not know %s (its path is not in the caller's name, and iam:GetRole would tell it)", w.arn)
			return nil, &s
		case err != nil:
			s := unasked(err, "iam:SimulatePrincipalPolicy")
			return nil, &s
		}
		all = append(all, out.EvaluationResults...)
	}
	if len(all) == 0 {
		s := Skip("IAM answers without a decision")
		return nil, &s
	}
	return all, nil
}

// lookThrough sees that IAM lets calls pass that come through the endpoint.
func (n *network) lookThrough(ctx context.Context, f *Facts) Finding {
	w, skip := n.simulated(ctx, f)
	if skip != nil {
		return *skip
	}
	results, skip := n.simulate(ctx, f, w, f.VPCE)
	if skip != nil {
		return *skip
	}
	var allowed []string
	for _, r := range results {
		action := aws.ToString(r.EvalActionName)
		if r.EvalDecision == types.PolicyEvaluationDecisionTypeAllowed {
			allowed = append(allowed, action)
			continue
		}
		if missing := unknownKeys(r); missing != "" {
			return Skip("whether %s is allowed depends on %s", action, missing)
		}
		return n.refused(f, w, action, r)
	}
	return Well("%s %s may %s through %s", w.kind, w.name, some(allowed), f.VPCE)
}

// unknownKeys are those that conditions ask for and that were not given: without
// them IAM does not know. That there is no endpoint is known.
func unknownKeys(r types.EvaluationResult) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(r.MissingContextValues), func(key string) bool {
		return strings.HasPrefix(strings.ToLower(key), "aws:sourcevpc")
	}), ", ")
}

// refused is the finding where IAM denies a call that comes through the endpoint.
func (n *network) refused(f *Facts, w who, action string, r types.EvaluationResult) Finding {
	detail := fmt.Sprintf("%s %s may not %s, even through %s", w.kind, w.name, action, f.VPCE)
	if o := r.OrganizationsDecisionDetail; o != nil && !o.AllowedByOrganizations {
		return Bad(detail+": a service control policy", "A policy of the organization limits the account, whatever IAM allows in it.",
			"have who runs the organization allow it (AWS Organizations console, Policies)")
	}
	if b := r.PermissionsBoundaryDecisionDetail; b != nil && !b.AllowedByPermissionsBoundary {
		return Bad(detail+": its permissions boundary", "A boundary limits what the other policies of the "+w.kind+" can allow.",
			fmt.Sprintf("have it changed; this names it: aws iam get-%s --%s-name %s", w.kind, w.kind, w.name))
	}
	if r.EvalDecision == types.PolicyEvaluationDecisionTypeExplicitDeny {
		var names []string
		for _, s := range r.MatchedStatements {
			if id := aws.ToString(s.SourcePolicyId); id != "" {
				names = append(names, id)
			}
		}
		by := "one of its policies denies"
		if len(names) > 0 {
			by = some(names) + " denies"
		}
		return Bad(detail+": "+by, "A statement that denies wins over all that allow; perhaps it names another endpoint, or none.",
			fmt.Sprintf("put in its place what this prints, which admits the endpoint: ddbproxy policy --vpce %s --deny", f.VPCE))
	}
	meaning := "No policy of the " + w.kind + " allows it, or only through another endpoint."
	if f.Table == "" {
		meaning += " Calls on single tables may be allowed: --table NAME looks at one."
	}
	return Bad(detail+": nothing allows it", meaning,
		w.attach(fmt.Sprintf("ddbproxy policy --vpce %s%s", f.VPCE, flagFor("--table", f.Table)), "ddbproxy"))
}

// attach is the command that gives the user or role the policy which another
// prints. Roles of IAM Identity Center are changed in their permission set only.
func (w who) attach(print, name string) string {
	if strings.HasPrefix(w.name, ssoRole) {
		return "put into the permission set (IAM Identity Center console) what this prints: " + print
	}
	return fmt.Sprintf("%s >%s.json && aws iam put-%s-policy --%s-name %s --policy-name %s --policy-document file://%s.json",
		print, name, w.kind, w.kind, w.name, name, name)
}

// lookElsewhere sees that IAM denies the same calls that come another way.
func (n *network) lookElsewhere(ctx context.Context, f *Facts) Finding {
	w, skip := n.simulated(ctx, f)
	if skip != nil {
		return *skip
	}
	results, skip := n.simulate(ctx, f, w, "")
	if skip != nil {
		return *skip
	}
	var allowed []string
	for _, r := range results {
		action, missing := aws.ToString(r.EvalActionName), unknownKeys(r)
		switch {
		case r.EvalDecision == types.PolicyEvaluationDecisionTypeAllowed:
			allowed = append(allowed, action)
		case r.EvalDecision == types.PolicyEvaluationDecisionTypeImplicitDeny && missing != "":
			return Skip("whether %s is allowed depends on %s", action, missing)
		}
	}
	if len(allowed) == 0 {
		return Well("%s %s is denied past the endpoint", w.kind, w.name)
	}
	return Bad(fmt.Sprintf("%s %s may %s from anywhere", w.kind, w.name, some(allowed)),
		"Whoever has these keys reaches DynamoDB over the internet, without the endpoint and the bastion.",
		w.attach("ddbproxy policy --vpce "+nameOr(f.VPCE, "vpce-…")+" --deny", "ddbproxy-deny"))
}
