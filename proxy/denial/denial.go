// Package denial reads from an AccessDeniedException why AWS refused a call: by the policy of the VPC endpoint, by one of
// the caller's, by one of its organization, or by one of the table. Parse reads the message, FromAnswer the answer as it
// came, and Explain says it to a person:
//
//	d := denial.Parse(message)
//	why, remedy := d.Explain(denial.Unknown)
//
// AWS names one policy type for each denial, even where several deny, and none at all for callers of another
// organization (IAM User Guide, "Troubleshoot access denied error messages"). It never says that a call was expected by
// another way; that is told here where the way is known.
package denial

import (
	"regexp"
	"strconv"
	"strings"
)

// A Policy is a type of policy, by the name that scripts get.
type Policy string

// The types that AWS names in its messages.
const (
	Unsaid      Policy = ""
	VPCEndpoint Policy = "vpc_endpoint"
	Identity    Policy = "identity"
	Boundary    Policy = "permissions_boundary"
	Service     Policy = "service_control"  // of the organization, for its accounts
	Resources   Policy = "resource_control" // of the organization, for what its accounts have
	Session     Policy = "session"
	Resource    Policy = "resource" // of the table, index or stream
)

// A Denial is what a message says. What it does not say is empty. All text is printable, on one line and bounded.
type Denial struct {
	Policy    Policy `json:"policy,omitempty"`
	Explicit  bool   `json:"explicit"`             // a statement denies; else none allows
	Action    string `json:"action,omitempty"`     // "dynamodb:GetItem"
	Principal string `json:"principal,omitempty"`  // ARN of who called
	Resource  string `json:"resource,omitempty"`   // ARN of the table, or "*"
	PolicyARN string `json:"policy_arn,omitempty"` // of the policy that denies, which AWS names sometimes
}

// maxMessage bounds a message in bytes. An ARN has at most 2,048 characters, and a message two of them.
const maxMessage = 8 << 10

// types are AWS's words for the types of policies, in lower case.
var types = map[string]Policy{
	"vpc endpoint policy":     VPCEndpoint,
	"identity-based policy":   Identity,
	"permissions boundary":    Boundary,
	"service control policy":  Service,
	"resource control policy": Resources,
	"session policy":          Session,
	"resource-based policy":   Resource,
}

const typeNames = `(vpc endpoint policy|identity-based policy|permissions boundary|service control policy|resource control policy|session policy|resource-based policy)`

var (
	who = regexp.MustCompile(`(?i)\buser: (\S+) is not authorized to perform: (\S+)`)
	// Some services have the ARN in quotation marks.
	what     = regexp.MustCompile(`(?i)\bis not authorized to perform: \S+ on resource: "?([^\s"]+)`)
	implicit = regexp.MustCompile(`(?i)\bbecause no ` + typeNames + ` allows\b`)
	explicit = regexp.MustCompile(`(?i)\bwith an explicit deny in an? ` + typeNames + `\b(?:[:,]? (?:with policy arn: )?(arn:[^\s,]+))?`)
)

// Parse reads the message of an AccessDeniedException.
func Parse(message string) Denial {
	message = clean(message)
	var d Denial
	if m := who.FindStringSubmatch(message); m != nil {
		d.Principal, d.Action = m[1], strings.TrimRight(m[2], ".,")
	}
	if m := what.FindStringSubmatch(message); m != nil {
		d.Resource = m[1]
	}
	if m := explicit.FindStringSubmatch(message); m != nil {
		d.Policy, d.Explicit, d.PolicyARN = types[strings.ToLower(m[1])], true, strings.TrimRight(m[2], ".")
	} else if m := implicit.FindStringSubmatch(message); m != nil {
		d.Policy = types[strings.ToLower(m[1])]
	}
	return d
}

// clean makes a message fit for a terminal and a log: one line, printable and bounded.
func clean(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage]
	}
	s = strings.ToValidUTF8(s, "")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || !strconv.IsPrint(r) }), " ")
}
