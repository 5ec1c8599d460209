package aws

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

const (
	region     = "eu-west-1"
	account    = "123456789012"
	prefixList = "pl-0123abcd"
	gateway    = "vpce-0123456789abcdef0"
	link       = "vpce-0fedcba9876543210"
	bastion    = "i-0123456789abcdef0"
	nlb        = "ddbproxy-ext-0a1b2c3d4e5f-0123456789abcdef.elb." + region + ".amazonaws.com"
	secret     = "arn:aws:secretsmanager:" + region + ":" + account + ":secret:ddbproxy-host-key-AbCdEf"
	stack      = "ddbproxy"
	hostKey    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DPMRD6OIh65tjkxFNOtwGcWB2gCgPhk"
	relayURL   = "https://example.com/releases/ddbproxy-relay_1.0.0_linux_arm64.rpm?X-Amz-Expires=600"
	relaySum   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var zones = []string{region + "a", region + "b", region + "c"}

// options are what the template and the module can be asked for.
type options struct {
	name     string
	cidrs    []string
	existing bool
	private  bool // no public address
	noSSM    bool
	key      string
	link     string // none, dynamodb or streams
	deny     bool
	relay    string // the URL of a relay to install

	// of several bastions
	bastions  int
	internal  bool
	lbSubnets bool     // the load balancer has subnets of its own
	secret    string   // with the host key
	hostKey   string   // its public half
	keys      []string // of developers
}

// fleet is what several bastions need, and o.
func fleet(o options) options {
	o.bastions, o.relay, o.secret, o.hostKey = 3, relayURL, secret, hostKey
	o.keys = []string{hostKey + " ann@laptop", "cert-authority ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY="}
	return o
}

var allOptions = []options{
	{name: "defaults"},
	{name: "existing VPC", existing: true},
	{name: "three addresses, a key", cidrs: []string{"192.0.2.0/24", "198.51.100.7/32"}, key: "dev"},
	{name: "private, without SSM", existing: true, private: true, noSSM: true},
	{name: "PrivateLink", link: "dynamodb", deny: true},
	{name: "PrivateLink for Streams in an existing VPC", link: "streams", existing: true, noSSM: true},
	{name: "deny", deny: true},
	{name: "relay", relay: relayURL},
	{name: "relay and PrivateLink", relay: relayURL, link: "dynamodb", existing: true},
	fleet(options{name: "several bastions"}),
	fleet(options{name: "several bastions in an existing VPC", existing: true, private: true, lbSubnets: true, key: "dev"}),
	fleet(options{name: "several bastions for a VPN, with PrivateLink", internal: true, link: "dynamodb", existing: true, deny: true}),
	fleet(options{name: "several bastions in a new VPC, with PrivateLink", link: "streams", cidrs: []string{"192.0.2.0/24"}}),
}

func (o options) sources() []string { return append([]string{"203.0.113.7/32"}, o.cidrs...) }

func (o options) subnets() []string {
	if o.bastions > 1 {
		return []string{"subnet-a", "subnet-b", "subnet-c"}
	}
	return []string{"subnet-given"}
}

func (o options) cloudFormation() map[string]string {
	p := map[string]string{"DynamoDBPrefixList": prefixList}
	for i, cidr := range o.sources() {
		p[fmt.Sprint("DeveloperCidr", i+1)] = cidr
	}
	if o.existing {
		p["VpcId"], p["SubnetIds"], p["RouteTableIds"] = "vpc-given", strings.Join(o.subnets(), ","), "rtb-a,rtb-b"
	}
	set := func(asked bool, name, value string) {
		if asked {
			p[name] = value
		}
	}
	set(o.private, "PublicIp", "false")
	set(o.noSSM, "Ssm", "false")
	set(o.key != "", "KeyName", o.key)
	set(o.link != "", "PrivateLink", o.link)
	set(o.deny, "DenyElsewhere", "true")
	set(o.relay != "", "RelayUrl", o.relay)
	set(o.relay != "", "RelaySha256", relaySum)
	set(o.bastions != 0, "Bastions", fmt.Sprint(o.bastions))
	set(o.internal, "InternalLoadBalancer", "true")
	set(o.lbSubnets, "LoadBalancerSubnetIds", "subnet-x,subnet-y")
	set(o.secret != "", "HostKeySecret", o.secret)
	set(o.hostKey != "", "HostKey", o.hostKey)
	set(o.keys != nil, "DeveloperKeys", strings.Join(o.keys, ","))
	return p
}

func (o options) terraform() map[string]cty.Value {
	list := func(texts []string) cty.Value {
		var all []cty.Value
		for _, s := range texts {
			all = append(all, cty.StringVal(s))
		}
		return cty.ListVal(all)
	}
	v := map[string]cty.Value{"developer_cidrs": list(o.sources())}
	if o.existing {
		v["vpc_id"], v["subnet_ids"] = cty.StringVal("vpc-given"), list(o.subnets())
		v["route_table_ids"] = list([]string{"rtb-a", "rtb-b"})
	}
	set := func(asked bool, name string, value cty.Value) {
		if asked {
			v[name] = value
		}
	}
	set(o.private, "public_ip", cty.False)
	set(o.noSSM, "ssm", cty.False)
	set(o.key != "", "key_name", cty.StringVal(o.key))
	set(o.link != "", "private_link", cty.StringVal(o.link))
	set(o.deny, "deny_elsewhere", cty.True)
	set(o.relay != "", "relay_url", cty.StringVal(o.relay))
	set(o.relay != "", "relay_sha256", cty.StringVal(relaySum))
	set(o.bastions != 0, "bastions", cty.NumberIntVal(int64(o.bastions)))
	set(o.internal, "internal_load_balancer", cty.True)
	set(o.lbSubnets, "load_balancer_subnet_ids", list([]string{"subnet-x", "subnet-y"}))
	set(o.secret != "", "host_key_secret", cty.StringVal(o.secret))
	set(o.hostKey != "", "host_key", cty.StringVal(o.hostKey))
	if o.keys != nil {
		v["developer_keys"] = list(o.keys)
	}
	return v
}

// id is what a resource is called once it is made, by its name in either.
func id(name string) string {
	for id, names := range map[string][]string{
		gateway:           {"Gateway", "aws_vpc_endpoint.gateway"},
		link:              {"PrivateLinkEndpoint", "aws_vpc_endpoint.private_link"},
		bastion:           {"Bastion", "aws_instance.bastion"},
		"sg-bastion":      {"BastionSecurityGroup", "aws_security_group.bastion"},
		"sg-private-link": {"PrivateLinkSecurityGroup", "aws_security_group.private_link"},
		"vpc-made":        {"Vpc", "aws_vpc.vpc"},
		"subnet-made":     {"Subnet", "aws_subnet.subnet"},
		"subnet-made-2":   {"Subnet2", "aws_subnet.subnet[1]"},
		"rtb-made":        {"RouteTable", "aws_route_table.route_table"},
		"igw-made":        {"InternetGateway", "InternetGatewayAttachment", "aws_internet_gateway.internet"},
		"role":            {"BastionRole", "aws_iam_role.bastion"},
		"profile":         {"BastionProfile", "aws_iam_instance_profile.bastion"},
		"developer":       {"DeveloperPolicy", "aws_iam_policy.developer"},
		"deny":            {"DenyPolicy", "aws_iam_policy.deny"},
		"route":           {"DefaultRoute", "aws_route.default"},
		"association":     {"RouteTableAssociation", "aws_route_table_association.subnet"},
		"association-2":   {"RouteTableAssociation2", "aws_route_table_association.subnet[1]"},
		"sg-balancer":     {"LoadBalancerSecurityGroup", "aws_security_group.load_balancer"},
		"template":        {"BastionTemplate", "aws_launch_template.bastion"},
		"balancer":        {"LoadBalancer", "aws_lb.bastion"},
		"targets":         {"TargetGroup", "aws_lb_target_group.bastion"},
		"listener":        {"Listener", "aws_lb_listener.ssh"},
	} {
		if slices.Contains(names, name) {
			return id
		}
	}
	return name
}
