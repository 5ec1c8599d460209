package doctor

import (
	"net/netip"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
)

// Facts are what checks have found out for those after them, and what the
// command was told. A zero value is not known.
type Facts struct {
	// Config is for calls of one's own to AWS, from the laptop and not through the
	// bastion: credentials, certificate authorities, no endpoint of ddbproxy's.
	Config aws.Config `json:"-"`
	// URLOf gives the endpoint of a service that is not the region's own, by its
	// variable such as AWS_ENDPOINT_URL_EC2; nil for none.
	URLOf func(variable string) *string `json:"-"`

	// Bastion is the one that is looked at, as it was named; "" while it is the
	// laptop.
	Bastion string `json:"bastion,omitempty"`

	Region   string `json:"region,omitempty"`   // that is served: --region, or the profile's
	Endpoint string `json:"endpoint,omitempty"` // DynamoDB's name that a session dials
	VPCE     string `json:"vpce,omitempty"`     // the endpoint's id: told by --vpce or Endpoint, else found
	Table    string `json:"table,omitempty"`    // that was named

	Account     string `json:"account,omitempty"`       // of Identity
	Identity    string `json:"identity,omitempty"`      // ARN of the caller, by STS
	AccessKeyID string `json:"access_key_id,omitempty"` // whose signature it is

	// Of the bastion, by its instance metadata.
	BastionRegion  string     `json:"bastion_region,omitempty"`
	Instance       string     `json:"instance,omitempty"`
	VPC            string     `json:"vpc,omitempty"`
	Subnet         string     `json:"subnet,omitempty"`
	SecurityGroups []string   `json:"security_groups,omitempty"` // ids
	PrivateAddr    netip.Addr `json:"private_addr,omitzero"`

	// Addresses of Endpoint, as the bastion's DNS has them.
	Addresses []netip.Addr `json:"addresses,omitempty"`

	// Direct and Through are how AWS refused the proof's call from the laptop and
	// through the tunnel; nil where it answered, or nothing was sent.
	Direct  *Denial `json:"direct_denial,omitempty"`
	Through *Denial `json:"tunnel_denial,omitempty"`

	source string // the SDK's name for where the credentials come from

	path denial.Path // of the bastion's calls; see Path
}

// urlOf is URLOf where it is set.
func (f *Facts) urlOf(variable string) *string {
	if f.URLOf == nil {
		return nil
	}
	return f.URLOf(variable)
}

// Denial is AWS's refusal of a signed call.
type Denial struct {
	Code    string `json:"code"`    // AccessDeniedException
	Message string `json:"message"` // AWS's own words
}
