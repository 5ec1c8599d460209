package denial

import "cmp"

// A Path is the way by which a denied call came to AWS, as far as it is known.
type Path int

// The paths.
const (
	Unknown Path = iota
	Through      // a VPC endpoint
	Past         // no VPC endpoint, or not the right one
)

// A Cause is what has to be changed, by the name that scripts get.
type Cause string

// The causes.
const (
	CausePath         Cause = "path" // it has to come through the VPC endpoint
	CauseEndpoint     Cause = "endpoint_policy"
	CauseIdentity     Cause = "identity_policy"
	CauseBoundary     Cause = "permissions_boundary"
	CauseOrganization Cause = "organization_policy"
	CauseSession      Cause = "session_policy"
	CauseResource     Cause = "resource_policy"
	CauseUnknown      Cause = "unknown" // AWS does not say
)

// Cause is the policy that AWS names, or the path where that is known to be wrong: whatever such a policy says about
// aws:SourceVpce, it has to be met first.
func (d Denial) Cause(p Path) Cause {
	if p == Past && d.Policy != VPCEndpoint { // that one proves that an endpoint was passed
		return CausePath
	}
	switch d.Policy {
	case VPCEndpoint:
		return CauseEndpoint
	case Identity:
		return CauseIdentity
	case Boundary:
		return CauseBoundary
	case Service, Resources:
		return CauseOrganization
	case Session:
		return CauseSession
	case Resource:
		return CauseResource
	}
	return CauseUnknown
}

// texts are what is said of each type: where nothing allows, where something denies, and what mends either.
var texts = map[Policy]struct{ implicit, explicit, mend string }{
	VPCEndpoint: {"the VPC endpoint's own policy does not allow", "the VPC endpoint's own policy denies",
		"have it allow the call: aws ec2 describe-vpc-endpoints shows it, ddbproxy policy --endpoint-policy prints one"},
	Identity: {"no IAM policy of the caller allows", "an IAM policy of the caller denies",
		"have it allowed in IAM: ddbproxy policy --vpce vpce-… prints the policy, --check FILE says what one lets through"},
	Boundary: {"the caller's permissions boundary does not allow", "the caller's permissions boundary denies",
		"have the boundary changed in IAM: aws iam get-role or get-user names it"},
	Service: {"no service control policy of the organization allows", "a service control policy of the organization denies",
		"ask who runs the organization: no policy of this account can allow it"},
	Resources: {"no resource control policy of the organization allows", "a resource control policy of the organization denies",
		"ask who runs the organization: no policy of this account can allow it"},
	Session: {"the session policy, with which the role was assumed, does not allow", "the session policy, with which the role was assumed, denies",
		"assume the role without it, or with one that allows the call"},
	Resource: {"the table's resource policy does not allow", "the table's resource policy denies",
		"have the table's owner change it: aws dynamodb get-resource-policy shows it"},
}

// Explain says in a line each why a call was denied and what mends it.
func (d Denial) Explain(p Path) (why, remedy string) {
	action := cmp.Or(d.Action, "the call")
	text, said := texts[d.Policy]
	switch {
	case !said:
		why, remedy = "AWS does not say which policy refuses "+action, "ddbproxy doctor looks at those that it can read"
	case d.Explicit:
		why, remedy = text.explicit+" "+action, text.mend
	default:
		why, remedy = text.implicit+" "+action, text.mend
	}
	if d.PolicyARN != "" {
		why += " (" + d.PolicyARN + ")"
	}
	switch {
	case d.Policy == VPCEndpoint: // whose word proves that it was passed
	case p == Past:
		why += ", and it did not come through the VPC endpoint"
		remedy = "ddbproxy doctor says where the bastion's traffic misses the endpoint"
	case p == Unknown && d.Explicit:
		why += ", perhaps because it did not come through the VPC endpoint"
		remedy = "ddbproxy doctor tells whether it did; else " + remedy
	case p == Unknown && said:
		why += ", or only through a VPC endpoint"
		remedy = "ddbproxy doctor tells whether it came through one; else " + remedy
	}
	if d.Action == "dynamodb:DescribeEndpoints" {
		remedy += " (it is about no table: its Resource has to be *)"
	}
	return why, remedy
}
