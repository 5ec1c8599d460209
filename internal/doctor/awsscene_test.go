package doctor

import (
	"encoding/json"
	"net/netip"
	"slices"

	"github.com/ddbproxy/ddbproxy/internal/vpc"
)

// The ids of the scenes. Whoever makes a scene elsewhere puts his own in their place.
const (
	sceneVPC      = "vpc-0bastion"
	otherVPC      = "vpc-0other"
	sceneSubnet   = "subnet-0bastion"
	linkSubnet    = "subnet-0link" // of the interface endpoint
	sceneGroup    = "sg-0bastion"
	linkGroup     = "sg-0link"
	sceneTable    = "rtb-0bastion"
	mainTable     = "rtb-0main"
	sceneACL      = "acl-0bastion"
	sceneList     = "pl-0dynamodb"
	sceneVPCE     = "vpce-0gateway"
	linkVPCE      = "vpce-0link"
	linkCard      = "eni-0link"
	linkAddr      = "10.86.0.200"
	linkName      = "vpce-0link-abcdefgh.dynamodb.eu-west-1.vpce.amazonaws.com"
	sceneInstance = "i-0bastion"
	sceneInternet = "igw-0internet"
	publicName    = "dynamodb.eu-west-1.amazonaws.com"
	dynamoService = "com.amazonaws.eu-west-1.dynamodb"
)

// trouble is a world with one thing wrong in it, and what a person is told.
type trouble struct {
	name   string
	change func(*vpc.Server, *Facts)
	// fakeOnly says why moto cannot play it; "" if it can.
	fakeOnly string
}

// wellWorld is one in which nothing is wrong, and what the bastion tells in it.
func wellWorld() (*vpc.Server, *Facts) {
	s := &vpc.Server{
		Region: "eu-west-1", KeyID: "AKIDEXAMPLE00000TEST", Secret: "dummysecret",
		Instances: []vpc.Instance{{ID: sceneInstance, VPC: sceneVPC, Subnet: sceneSubnet, Address: "10.86.0.10", Groups: []string{sceneGroup}}},
		Endpoints: []vpc.Endpoint{{
			ID: sceneVPCE, Type: "Gateway", VPC: sceneVPC, Service: dynamoService, State: "available",
			Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`, RouteTables: []string{sceneTable},
		}},
		RouteTables: []vpc.RouteTable{
			{ID: mainTable, VPC: sceneVPC, Associations: []vpc.Association{{Main: true}}},
			{
				ID: sceneTable, VPC: sceneVPC, Associations: []vpc.Association{{Subnet: sceneSubnet}},
				Routes: []vpc.Route{{CIDR: "0.0.0.0/0", Gateway: sceneInternet, State: "active"}, {PrefixList: sceneList, Gateway: sceneVPCE, State: "active"}},
			},
		},
		Groups: []vpc.Group{
			{ID: sceneGroup, VPC: sceneVPC, Egress: []vpc.Permission{{Protocol: "tcp", From: 443, To: 443, PrefixLists: []string{sceneList}}}},
			{ID: linkGroup, VPC: sceneVPC, Ingress: []vpc.Permission{{Protocol: "tcp", From: 443, To: 443, Groups: []string{sceneGroup}}}},
		},
		ACLs: []vpc.ACL{{ID: sceneACL, VPC: sceneVPC, Associations: []vpc.Association{{Subnet: sceneSubnet}}, Entries: []vpc.Entry{
			{Number: 100, Protocol: "-1", Action: "allow", Egress: true, CIDR: "0.0.0.0/0"},
			{Number: 100, Protocol: "-1", Action: "allow", CIDR: "0.0.0.0/0"},
		}}},
		// moto's ranges of DynamoDB.
		PrefixLists: []vpc.PrefixList{{ID: sceneList, Name: dynamoService, CIDRs: []string{"3.218.182.0/24", "3.218.180.0/23", "52.94.0.0/22", "52.119.224.0/20"}}},
		Interfaces:  []vpc.Interface{{ID: linkCard, VPC: sceneVPC, Subnet: linkSubnet, Address: linkAddr}},
	}
	f := &Facts{
		Region: "eu-west-1", Endpoint: publicName, Account: "123456789012", Identity: "arn:aws:iam::123456789012:user/dev",
		BastionRegion: "eu-west-1", Instance: sceneInstance, VPC: sceneVPC, Subnet: sceneSubnet, SecurityGroups: []string{sceneGroup},
		PrivateAddr: netip.MustParseAddr("10.86.0.10"), Addresses: []netip.Addr{netip.MustParseAddr("52.94.1.7")},
	}
	return s, f
}

// link has an interface endpoint in the place of the gateway endpoint, and the
// session dial its name.
func link(s *vpc.Server, f *Facts) *vpc.Endpoint {
	s.Endpoints = []vpc.Endpoint{{
		ID: linkVPCE, Type: "Interface", VPC: sceneVPC, Service: dynamoService, State: "available", Policy: s.Endpoints[0].Policy,
		Subnets: []string{linkSubnet}, Groups: []string{linkGroup}, Interfaces: []string{linkCard}, DNSName: linkName,
	}}
	s.RouteTables[1].Routes = s.RouteTables[1].Routes[:1]
	s.Groups[0].Egress = []vpc.Permission{{Protocol: "tcp", From: 443, To: 443, Groups: []string{linkGroup}}}
	f.Endpoint, f.VPCE, f.Addresses = linkName, linkVPCE, []netip.Addr{netip.MustParseAddr(linkAddr)}
	return &s.Endpoints[0]
}

func allowing(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

const (
	noState  = "in moto all endpoints are available"
	noName   = "moto's endpoints have names of their own"
	noDenial = "moto's refusals are not EC2's"
)

var troubles = []trouble{
	{name: "all is well", change: func(*vpc.Server, *Facts) {}},
	{name: "the bastion has told its instance id only", fakeOnly: "moto's instances need images", change: func(s *vpc.Server, f *Facts) {
		f.VPC, f.Subnet, f.SecurityGroups, f.PrivateAddr = "", "", nil, netip.Addr{}
	}},
	{name: "the instance is of another account", change: func(s *vpc.Server, f *Facts) {
		s.Instances = nil
		f.VPC, f.Subnet, f.SecurityGroups = "", "", nil
	}},
	{name: "the bastion has told nothing", change: func(s *vpc.Server, f *Facts) {
		*f = Facts{Region: f.Region, Identity: f.Identity}
	}},

	{name: "no endpoint", change: func(s *vpc.Server, f *Facts) {
		s.Endpoints, s.RouteTables[1].Routes = nil, s.RouteTables[1].Routes[:1]
	}},
	{name: "no endpoint for Streams", change: func(s *vpc.Server, f *Facts) { f.Endpoint = "streams." + publicName }},
	{name: "an endpoint for another service only", change: func(s *vpc.Server, f *Facts) {
		s.Endpoints[0].Service = "com.amazonaws.eu-west-1.s3"
		s.RouteTables[1].Routes = s.RouteTables[1].Routes[:1]
	}},
	{name: "no endpoint of that id", change: func(s *vpc.Server, f *Facts) { f.VPCE = "vpce-00000000000000000" }},
	{name: "endpoint in another VPC", change: func(s *vpc.Server, f *Facts) {
		f.VPCE, s.Endpoints[0].VPC, s.Endpoints[0].RouteTables = sceneVPCE, otherVPC, nil
		s.RouteTables[1].Routes = s.RouteTables[1].Routes[:1]
	}},
	{name: "the endpoint that was named is another service's", change: func(s *vpc.Server, f *Facts) {
		f.VPCE, s.Endpoints[0].Service = sceneVPCE, "com.amazonaws.eu-west-1.s3"
		s.RouteTables[1].Routes = s.RouteTables[1].Routes[:1]
	}},
	{name: "Streams behind the endpoint of DynamoDB", fakeOnly: noName, change: func(s *vpc.Server, f *Facts) {
		link(s, f)
		f.Endpoint = "vpce-0123456789abcdef0-abcdefgh.streams.dynamodb.eu-west-1.vpce.amazonaws.com"
	}},
	{name: "another region is served", change: func(s *vpc.Server, f *Facts) {
		f.Region, f.Endpoint = "eu-central-1", "dynamodb.eu-central-1.amazonaws.com"
		f.Addresses = []netip.Addr{netip.MustParseAddr("35.71.64.1")}
	}},
	{name: "endpoint is being made", fakeOnly: noState, change: func(s *vpc.Server, f *Facts) { s.Endpoints[0].State = "pending" }},
	{name: "endpoint waits for acceptance", fakeOnly: noState, change: func(s *vpc.Server, f *Facts) { s.Endpoints[0].State = "pendingAcceptance" }},
	{name: "endpoint has failed", fakeOnly: noState, change: func(s *vpc.Server, f *Facts) {
		s.Endpoints[0].State, s.Endpoints[0].Error = "failed", "no addresses left"
	}},

	{name: "no route", change: func(s *vpc.Server, f *Facts) {
		s.Endpoints[0].RouteTables = nil
		s.RouteTables[1].Routes = s.RouteTables[1].Routes[:1]
	}},
	{name: "no route in the main table", change: func(s *vpc.Server, f *Facts) {
		s.RouteTables[1].Associations = nil // so the subnet has the main one
	}},
	{name: "route in the main table", change: func(s *vpc.Server, f *Facts) {
		s.RouteTables = []vpc.RouteTable{{ID: mainTable, VPC: sceneVPC, Associations: []vpc.Association{{Main: true}}, Routes: s.RouteTables[1].Routes}}
		s.Endpoints[0].RouteTables = []string{mainTable}
	}},
	{name: "route is a blackhole", fakeOnly: "moto's routes are active", change: func(s *vpc.Server, f *Facts) { s.RouteTables[1].Routes[1].State = "blackhole" }},

	{name: "interface endpoint", change: func(s *vpc.Server, f *Facts) { link(s, f) }, fakeOnly: noName},
	{name: "interface endpoint with private DNS", change: func(s *vpc.Server, f *Facts) {
		link(s, f).PrivateDNS = true
		f.Endpoint, f.VPCE = publicName, ""
	}},
	{name: "interface endpoint beside a gateway endpoint", change: func(s *vpc.Server, f *Facts) {
		gateway, routes, egress := s.Endpoints[0], s.RouteTables[1].Routes, s.Groups[0].Egress
		link(s, f)
		s.Endpoints, s.RouteTables[1].Routes, s.Groups[0].Egress = append(s.Endpoints, gateway), routes, egress
		f.Endpoint, f.VPCE, f.Addresses = publicName, "", []netip.Addr{netip.MustParseAddr("52.94.1.7")}
	}},
	{name: "interface endpoint that is not dialled", fakeOnly: noName, change: func(s *vpc.Server, f *Facts) {
		link(s, f)
		f.Endpoint, f.VPCE, f.Addresses = publicName, "", []netip.Addr{netip.MustParseAddr("52.94.1.7")}
	}},
	{name: "interface endpoint does not let the bastion in", change: func(s *vpc.Server, f *Facts) {
		link(s, f).PrivateDNS = true
		f.Endpoint, f.VPCE = publicName, ""
		s.Groups[1].Ingress[0] = vpc.Permission{Protocol: "tcp", From: 443, To: 443, CIDRs: []string{"192.0.2.0/24"}}
	}},
	{name: "nothing out to the interface endpoint", change: func(s *vpc.Server, f *Facts) {
		link(s, f).PrivateDNS = true
		f.Endpoint, f.VPCE = publicName, ""
		s.Groups[0].Egress = []vpc.Permission{{Protocol: "tcp", From: 443, To: 443, PrefixLists: []string{sceneList}}}
		s.Groups[0].Egress[0] = vpc.Permission{Protocol: "tcp", From: 443, To: 443, CIDRs: []string{"192.0.2.0/24"}}
	}},

	{name: "DNS answers with another address", change: func(s *vpc.Server, f *Facts) {
		f.Addresses = []netip.Addr{netip.MustParseAddr("52.94.1.7"), netip.MustParseAddr("198.51.100.7")}
	}},
	{name: "DNS answers with a private address", change: func(s *vpc.Server, f *Facts) {
		f.Addresses = []netip.Addr{netip.MustParseAddr("10.1.2.3")}
	}},
	{name: "DNS did not answer", change: func(s *vpc.Server, f *Facts) { f.Addresses = nil }},

	{name: "security group lets nothing out", change: func(s *vpc.Server, f *Facts) { s.Groups[0].Egress = nil }},
	{name: "security group lets port 80 out", change: func(s *vpc.Server, f *Facts) {
		s.Groups[0].Egress[0].From, s.Groups[0].Egress[0].To = 80, 80
	}},
	{name: "security group lets some of the ranges out", change: func(s *vpc.Server, f *Facts) {
		s.Groups[0].Egress[0] = vpc.Permission{Protocol: "tcp", From: 0, To: 1024, CIDRs: []string{"3.0.0.0/8", "52.94.0.0/16"}}
	}},
	{name: "security group lets UDP out", change: func(s *vpc.Server, f *Facts) { s.Groups[0].Egress[0].Protocol = "udp" }},
	{name: "security group lets everything out", change: func(s *vpc.Server, f *Facts) {
		s.Groups[0].Egress[0] = vpc.Permission{Protocol: "-1", CIDRs: []string{"0.0.0.0/0"}}
	}},
	{name: "security group has another prefix list", fakeOnly: "its ids are checked by moto", change: func(s *vpc.Server, f *Facts) {
		s.Groups[0].Egress[0].PrefixLists = []string{"pl-0own"}
	}},

	{name: "network ACL drops what goes out", change: func(s *vpc.Server, f *Facts) {
		s.ACLs[0].Entries = append(s.ACLs[0].Entries, vpc.Entry{Number: 50, Protocol: "6", Action: "deny", Egress: true, CIDR: "52.119.0.0/16", Ports: &vpc.PortRange{From: 443, To: 443}})
	}},
	{name: "network ACL drops replies", change: func(s *vpc.Server, f *Facts) {
		s.ACLs[0].Entries = []vpc.Entry{
			{Number: 100, Protocol: "6", Action: "allow", Egress: true, CIDR: "0.0.0.0/0", Ports: &vpc.PortRange{From: 443, To: 443}},
			{Number: 100, Protocol: "6", Action: "allow", CIDR: "0.0.0.0/0", Ports: &vpc.PortRange{From: 22, To: 22}},
			{Number: 110, Protocol: "6", Action: "allow", CIDR: "0.0.0.0/0", Ports: &vpc.PortRange{From: 1024, To: 40000}},
		}
	}},
	{name: "network ACL admits what is needed", change: func(s *vpc.Server, f *Facts) {
		s.ACLs[0].Entries = []vpc.Entry{
			{Number: 100, Protocol: "6", Action: "allow", Egress: true, CIDR: "0.0.0.0/0", Ports: &vpc.PortRange{From: 443, To: 443}},
			{Number: 100, Protocol: "6", Action: "allow", CIDR: "0.0.0.0/0", Ports: &vpc.PortRange{From: 1024, To: 65535}},
			{Number: 200, Protocol: "-1", Action: "deny", CIDR: "0.0.0.0/0"},
		}
	}},

	{name: "network ACL drops all, and the endpoint is in the same subnet", change: func(s *vpc.Server, f *Facts) {
		e := link(s, f)
		e.PrivateDNS, e.Subnets = true, []string{sceneSubnet}
		f.Endpoint, f.VPCE, s.Interfaces[0].Subnet = publicName, "", sceneSubnet
		s.ACLs[0].Entries = nil
	}},

	{name: "endpoint policy that is none", change: func(s *vpc.Server, f *Facts) { s.Endpoints[0].Policy = `{"Version":"2012-10-17"}` }},
	{name: "endpoint policy for one table", change: func(s *vpc.Server, f *Facts) {
		s.Endpoints[0].Policy = allowing(`{"Effect":"Allow","Principal":"*","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:eu-west-1:123456789012:table/music"}`)
	}},
	{name: "endpoint policy for another table", change: func(s *vpc.Server, f *Facts) {
		f.Table = "books"
		s.Endpoints[0].Policy = allowing(`{"Effect":"Allow","Principal":"*","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:eu-west-1:123456789012:table/music"},` +
			`{"Effect":"Allow","Principal":"*","Action":"dynamodb:ListTables","Resource":"*"}`)
	}},
	{name: "endpoint policy for reading", change: func(s *vpc.Server, f *Facts) {
		f.Table = "music"
		s.Endpoints[0].Policy = allowing(`{"Effect":"Allow","Principal":"*","Action":["dynamodb:Get*","dynamodb:BatchGet*","dynamodb:Query","dynamodb:Scan","dynamodb:List*","dynamodb:PartiQLSelect","dynamodb:ConditionCheckItem","dynamodb:Describe*"],"Resource":"*"}`)
	}},
	{name: "endpoint policy for the table that was named", change: func(s *vpc.Server, f *Facts) {
		f.Table = "music"
		s.Endpoints[0].Policy = allowing(`{"Effect":"Allow","Principal":"*","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:eu-west-1:123456789012:table/music"}`)
	}},
	{name: "endpoint policy for the account", change: func(s *vpc.Server, f *Facts) {
		s.Endpoints[0].Policy = allowing(`{"Effect":"Allow","Principal":"*","Action":"dynamodb:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}}`)
	}},
	{name: "endpoint policy for some callers", change: func(s *vpc.Server, f *Facts) {
		s.Endpoints[0].Policy = allowing(`{"Effect":"Allow","Principal":"*","Action":"dynamodb:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"music"}}}`)
	}},

	{name: "no permission for anything", fakeOnly: noDenial, change: func(s *vpc.Server, f *Facts) {
		f.VPC = ""
		f.VPCE = sceneVPCE
		for _, action := range []string{"Instances", "VpcEndpoints", "RouteTables", "SecurityGroups", "NetworkAcls", "PrefixLists", "NetworkInterfaces"} {
			s.Refused = append(s.Refused, "ec2:Describe"+action)
		}
	}},
	{name: "no permission beside the endpoint", fakeOnly: noDenial, change: func(s *vpc.Server, f *Facts) {
		for _, action := range []string{"RouteTables", "SecurityGroups", "NetworkAcls"} {
			s.Refused = append(s.Refused, "ec2:Describe"+action)
		}
	}},
	{name: "no permission to see the prefix list", fakeOnly: noDenial, change: func(s *vpc.Server, f *Facts) {
		s.Refused = []string{"ec2:DescribePrefixLists"}
	}},
	{name: "no permission to see the prefix list, and nothing goes out", fakeOnly: noDenial, change: func(s *vpc.Server, f *Facts) {
		s.Refused, s.Groups[0].Egress = []string{"ec2:DescribePrefixLists"}, nil
	}},
	{name: "credentials that AWS does not take", fakeOnly: noDenial, change: func(s *vpc.Server, f *Facts) { s.Secret = "another" }},
	{name: "AWS is out of order", fakeOnly: noDenial, change: func(s *vpc.Server, f *Facts) { s.Broken = "InvalidParameterCombination" }},
}

// renamed is f with other ids and addresses in the place of the scenes'.
func renamed(f *Facts, ids map[string]string) (*Facts, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	g := new(Facts)
	return g, json.Unmarshal([]byte(replaced(string(text), ids)), g)
}

// network checks are those that moto can answer too: it does not simulate policies.
func networkChecks() []Check {
	return slices.DeleteFunc(AWSChecks(), func(c Check) bool { return c.ID == "aws.iam" || c.ID == "aws.iam.elsewhere" })
}
