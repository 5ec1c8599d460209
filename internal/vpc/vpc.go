// Package vpc is a small EC2 and IAM in process, for tests: the calls that describe
// a VPC with its endpoints, routes and firewalls, and IAM's simulation of what a
// user or role may do. A Server is both services' endpoint, and its fields are the
// world that it tells of:
//
//	s := &vpc.Server{Region: "eu-west-1", KeyID: id, Secret: secret}
//	s.Endpoints = []vpc.Endpoint{{ID: "vpce-0123456789abcdef0", …}}
//	http.Serve(listener, s)
//
// Nothing in it is changed by calls. It knows no other action, refuses filters that
// it does not know, and requests that are not signed with its key.
package vpc

import "slices"

// Server is both services' endpoint. Its fields are set before it serves.
type Server struct {
	Region        string
	KeyID, Secret string

	Instances   []Instance
	Endpoints   []Endpoint
	RouteTables []RouteTable
	Groups      []Group
	ACLs        []ACL
	PrefixLists []PrefixList
	Interfaces  []Interface
	Principals  []Principal

	// Refused are the actions ("ec2:DescribeVpcEndpoints") that the caller lacks the
	// permission for.
	Refused []string
	// Broken makes every call fail with this code, as AWS's for the service.
	Broken string
}

// The fields' names on the wire are those of EC2's API reference.

// Instance is what DescribeInstances tells of one.
type Instance struct {
	ID      string   `xml:"instanceId"`
	VPC     string   `xml:"vpcId"`
	Subnet  string   `xml:"subnetId"`
	Address string   `xml:"privateIpAddress"`
	Groups  GroupIDs `xml:"groupSet"`
}

// Endpoint is a VPC endpoint.
type Endpoint struct {
	ID          string   `xml:"vpcEndpointId"`
	Type        string   `xml:"vpcEndpointType"` // Gateway or Interface
	VPC         string   `xml:"vpcId"`
	Service     string   `xml:"serviceName"`
	State       string   `xml:"state"`
	Policy      string   `xml:"policyDocument,omitempty"`
	RouteTables []string `xml:"routeTableIdSet>item"`
	Subnets     []string `xml:"subnetIdSet>item"`
	Groups      GroupIDs `xml:"groupSet"`
	Interfaces  []string `xml:"networkInterfaceIdSet>item"`
	PrivateDNS  bool     `xml:"privateDnsEnabled"`
	DNSName     string   `xml:"dnsEntrySet>item>dnsName,omitempty"`
	Error       string   `xml:"lastError>message,omitempty"`
}

// RouteTable is one with its routes. A table without subnets may be the main one.
type RouteTable struct {
	ID           string        `xml:"routeTableId"`
	VPC          string        `xml:"vpcId"`
	Routes       []Route       `xml:"routeSet>item"`
	Associations []Association `xml:"associationSet>item"`
}

// Route leads to an internet gateway or an endpoint.
type Route struct {
	CIDR       string `xml:"destinationCidrBlock,omitempty"`
	PrefixList string `xml:"destinationPrefixListId,omitempty"`
	Gateway    string `xml:"gatewayId,omitempty"`
	NAT        string `xml:"natGatewayId,omitempty"`
	State      string `xml:"state,omitempty"`
}

// Association is with a subnet, or with those that have no other.
type Association struct {
	Subnet string `xml:"subnetId,omitempty"`
	Main   bool   `xml:"main"`
}

// Group is a security group.
type Group struct {
	ID      string       `xml:"groupId"`
	VPC     string       `xml:"vpcId"`
	Ingress []Permission `xml:"ipPermissions>item"`
	Egress  []Permission `xml:"ipPermissionsEgress>item"`
}

// Permission is a rule of a group.
type Permission struct {
	Protocol    string        `xml:"ipProtocol"`
	From        int32         `xml:"fromPort,omitempty"`
	To          int32         `xml:"toPort,omitempty"`
	CIDRs       CIDRs         `xml:"ipRanges"`
	Groups      GroupIDs      `xml:"groups"`
	PrefixLists PrefixListIDs `xml:"prefixListIds"`
}

// ACL is a network ACL.
type ACL struct {
	ID           string        `xml:"networkAclId"`
	VPC          string        `xml:"vpcId"`
	Entries      []Entry       `xml:"entrySet>item"`
	Associations []Association `xml:"associationSet>item"`
}

// Entry is a rule of an ACL. Without a port range it is for all.
type Entry struct {
	Number   int32      `xml:"ruleNumber"`
	Protocol string     `xml:"protocol"` // -1 or 6
	Action   string     `xml:"ruleAction"`
	Egress   bool       `xml:"egress"`
	CIDR     string     `xml:"cidrBlock"`
	Ports    *PortRange `xml:"portRange"`
}

// PortRange has both its ends in it.
type PortRange struct {
	From int32 `xml:"from"`
	To   int32 `xml:"to"`
}

// PrefixList is one of AWS's.
type PrefixList struct {
	ID    string   `xml:"prefixListId"`
	Name  string   `xml:"prefixListName"`
	CIDRs []string `xml:"cidrSet>item"`
}

// Interface is a network interface.
type Interface struct {
	ID      string `xml:"networkInterfaceId"`
	Subnet  string `xml:"subnetId"`
	VPC     string `xml:"vpcId"`
	Address string `xml:"privateIpAddress"`
}

// Principal is a user or role of IAM.
type Principal struct {
	ARN      string
	Policies map[string]string // documents by name
	// Boundary and Organization are documents that limit it; "" for none.
	Boundary, Organization string
}

// described is what the Describe calls list.
type described interface {
	id() string
	// has reports whether the filter of that name is known, and its values.
	has(filter string) (values []string, known bool)
}

func (i Instance) id() string                      { return i.ID }
func (i Instance) has(string) ([]string, bool)     { return nil, false }
func (g Group) id() string                         { return g.ID }
func (g Group) has(string) ([]string, bool)        { return nil, false }
func (i Interface) id() string                     { return i.ID }
func (i Interface) has(string) ([]string, bool)    { return nil, false }
func (e Endpoint) id() string                      { return e.ID }
func (t RouteTable) id() string                    { return t.ID }
func (a ACL) id() string                           { return a.ID }
func (l PrefixList) id() string                    { return l.ID }
func (l PrefixList) has(f string) ([]string, bool) { return []string{l.Name}, f == "prefix-list-name" }

func (e Endpoint) has(f string) ([]string, bool) {
	switch f {
	case "vpc-id":
		return []string{e.VPC}, true
	case "service-name":
		return []string{e.Service}, true
	}
	return nil, false
}

func (t RouteTable) has(f string) ([]string, bool) { return associated(t.VPC, t.Associations, f) }
func (a ACL) has(f string) ([]string, bool)        { return associated(a.VPC, a.Associations, f) }

func associated(vpc string, all []Association, f string) (values []string, known bool) {
	switch f {
	case "vpc-id":
		return []string{vpc}, true
	case "association.subnet-id":
		for _, a := range all {
			values = append(values, a.Subnet)
		}
		return values, true
	case "association.main":
		if slices.ContainsFunc(all, func(a Association) bool { return a.Main }) {
			return []string{"true"}, true
		}
		return []string{"false"}, true
	}
	return nil, false
}
