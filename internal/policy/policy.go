// Package policy reads, writes and evaluates IAM policies as far as they decide
// which way DynamoDB may be reached: through a VPC endpoint, or past it. Parse
// reads a document and Decide says what documents together make of one request:
//
//	p, err := policy.Parse(document)
//	r := policy.Decide([]*policy.Policy{p}, policy.Request{
//		Action: "dynamodb:GetItem", Resource: arn,
//		Context: policy.Context{"aws:sourcevpce": {"vpce-0123456789abcdef0"}},
//	})
//	// r.Decision == policy.Allowed
//
// Allow, Deny and ForEndpoint make the documents that ddbproxy advises, and Check
// sums up what given ones let through. What the package does not know (an
// operator, the value of a key) makes a decision Unknown and never Allowed.
//
// It knows nothing of permissions boundaries, session policies, policies of
// organizations or those of tables, each of which can deny more.
package policy

import (
	"bytes"
	"encoding/json"
)

// Versions of the policy language. Only the newer has variables.
const (
	Version2012 = "2012-10-17"
	Version2008 = "2008-10-17"
)

// Policy is one document.
type Policy struct {
	Version    string      `json:"Version,omitempty"` // "" means 2008-10-17
	ID         string      `json:"Id,omitempty"`
	Statements []Statement `json:"Statement"`
}

// Effect is what a statement that applies does.
type Effect string

// The effects.
const (
	EffectAllow Effect = "Allow"
	EffectDeny  Effect = "Deny"
)

// Statement is one rule. Of Action and NotAction, and of Resource and NotResource,
// it has one each.
type Statement struct {
	Sid          string          `json:"Sid,omitempty"`
	Effect       Effect          `json:"Effect"`
	Principal    json.RawMessage `json:"Principal,omitempty"` // of endpoint policies
	NotPrincipal json.RawMessage `json:"NotPrincipal,omitempty"`
	Action       Values          `json:"Action,omitempty"`
	NotAction    Values          `json:"NotAction,omitempty"`
	Resource     Values          `json:"Resource,omitempty"`
	NotResource  Values          `json:"NotResource,omitempty"`
	Condition    Conditions      `json:"Condition,omitempty"`
}

// Values is a list that is written without brackets if it has one element.
type Values []string

// MarshalJSON implements json.Marshaler.
func (v Values) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return marshal(v[0])
	}
	return marshal([]string(v))
}

// Conditions must all hold. Those of one operator stand together.
type Conditions []Condition

// Condition compares a key of the request's context with values.
type Condition struct {
	Operator string // as it is written: "ForAnyValue:StringLikeIfExists"
	Key      string // as it is written; case does not matter
	Values   Values
}

// MarshalJSON implements json.Marshaler.
func (c Conditions) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, one := range c {
		switch {
		case i == 0:
			b.WriteByte('{')
		case c[i-1].Operator == one.Operator:
			b.WriteByte(',')
		default:
			b.WriteString("},")
		}
		if i == 0 || c[i-1].Operator != one.Operator {
			operator, err := marshal(one.Operator)
			if err != nil {
				return nil, err
			}
			b.Write(operator)
			b.WriteString(":{")
		}
		key, err := marshal(one.Key)
		if err != nil {
			return nil, err
		}
		values, err := one.Values.MarshalJSON()
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(values)
	}
	b.WriteString("}}")
	return b.Bytes(), nil
}

// marshal leaves <, > and & as they are: policies are read by people.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// JSON is the document as text, indented by two spaces and always in the same
// order.
func (p *Policy) JSON() ([]byte, error) {
	text, err := marshal(p)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Indent(&b, text, "", "  ")
	b.WriteByte('\n')
	return b.Bytes(), err
}

// OfEndpoint reports whether p is a policy of a VPC endpoint (or of another
// resource): its statements name principals. Others belong to users and roles.
func (p *Policy) OfEndpoint() bool {
	return len(p.Statements) > 0 && p.Statements[0].ofResource()
}

func (s *Statement) ofResource() bool { return len(s.Principal)+len(s.NotPrincipal) > 0 }
