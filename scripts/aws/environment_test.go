package aws

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/zclconf/go-cty/cty"

	"github.com/ddbproxy/ddbproxy/internal/policy"
)

const (
	region     = "eu-west-1"
	account    = "123456789012"
	prefixList = "pl-0123abcd"
	gateway    = "vpce-0123456789abcdef0"
	link       = "vpce-0fedcba9876543210"
	bastion    = "i-0123456789abcdef0"
	relayURL   = "https://example.com/releases/ddbproxy-relay_1.0.0_linux_arm64.rpm?X-Amz-Expires=600"
	relaySum   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

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
}

func (o options) sources() []string { return append([]string{"203.0.113.7/32"}, o.cidrs...) }

func (o options) cloudFormation() map[string]string {
	p := map[string]string{"DynamoDBPrefixList": prefixList}
	for i, cidr := range o.sources() {
		p[fmt.Sprint("DeveloperCidr", i+1)] = cidr
	}
	if o.existing {
		p["VpcId"], p["SubnetId"], p["RouteTableIds"] = "vpc-given", "subnet-given", "rtb-a,rtb-b"
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
		v["vpc_id"], v["subnet_id"] = cty.StringVal("vpc-given"), cty.StringVal("subnet-given")
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
		"rtb-made":        {"RouteTable", "aws_route_table.route_table"},
		"igw-made":        {"InternetGateway", "aws_internet_gateway.internet"},
		"role":            {"BastionRole", "aws_iam_role.bastion"},
		"profile":         {"BastionProfile", "aws_iam_instance_profile.bastion"},
		"developer":       {"DeveloperPolicy", "aws_iam_policy.developer"},
		"deny":            {"DenyPolicy", "aws_iam_policy.deny"},
	} {
		if slices.Contains(names, name) {
			return id
		}
	}
	return name
}

// linkName is the DNS name that AWS gives an interface endpoint.
func linkName(kind string) string {
	if kind == "streams" {
		return link + "-abcdefgh.streams.dynamodb." + region + ".vpce.amazonaws.com"
	}
	return link + "-abcdefgh.dynamodb." + region + ".vpce.amazonaws.com"
}

// resource is one that is made, as its language has it.
type resource struct {
	kind, name string
	properties map[string]any
}

// text is a property, or a property of one in it; "" if there is none.
func (r resource) text(path ...string) string {
	var v any = r.properties
	for _, name := range path {
		inner, _ := v.(map[string]any)
		v = inner[name]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		return fmt.Sprint(len(v), v)
	}
	return fmt.Sprint(v)
}

// environment is what both languages are to make, in terms of neither.
type environment struct {
	Facts    []string
	Policies map[string]string // JSON by what has it
	Outputs  map[string]string
}

func (e *environment) fact(words ...string) { e.Facts = append(e.Facts, strings.Join(words, " ")) }

func (e *environment) policy(t *testing.T, of string, document any) {
	t.Helper()
	text, ok := document.(string)
	if !ok {
		b, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	e.Policies[of] = text
	if strings.Contains(text, "AssumeRole") {
		return // trust policies have no Resource
	}
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatalf("policy of %s: %v", of, err)
	}
	for _, s := range p.Statements { // keys of maps have no order
		slices.SortFunc(s.Condition, func(a, b policy.Condition) int { return strings.Compare(a.Operator, b.Operator) })
	}
	written, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	e.Policies[of] = string(written)
}

func fromCloudFormation(t *testing.T, o options) environment {
	made, outputs := cloudFormation(t, o)
	e := environment{Policies: map[string]string{}, Outputs: outputs}
	rule := func(r resource, group, direction string) {
		peer := r.text("CidrIp") + r.text("DestinationPrefixListId") + r.text("SourceSecurityGroupId") + r.text("DestinationSecurityGroupId")
		if peer != "127.0.0.1/32" { // a rule that stands for none
			e.fact(group, direction, r.text("IpProtocol"), r.text("FromPort"), r.text("ToPort"), peer)
		}
	}
	for _, r := range made {
		switch r.kind {
		case "AWS::EC2::VPC":
			e.fact("vpc", r.text("CidrBlock"), r.text("EnableDnsSupport"), r.text("EnableDnsHostnames"))
		case "AWS::EC2::Subnet":
			e.fact("subnet", r.text("VpcId"), r.text("CidrBlock"))
		case "AWS::EC2::InternetGateway":
		case "AWS::EC2::VPCGatewayAttachment":
			e.fact("internet", r.text("VpcId"))
		case "AWS::EC2::RouteTable":
			e.fact("route table", r.text("VpcId"))
		case "AWS::EC2::Route":
			e.fact("route", r.text("RouteTableId"), r.text("DestinationCidrBlock"), r.text("GatewayId"))
		case "AWS::EC2::SubnetRouteTableAssociation":
			e.fact("association", r.text("SubnetId"), r.text("RouteTableId"))
		case "AWS::EC2::VPCEndpoint":
			e.fact("endpoint", id(r.name), r.text("VpcId"), r.text("VpcEndpointType"), r.text("ServiceName"), r.text("RouteTableIds"),
				r.text("PrivateDnsEnabled"), r.text("SubnetIds"), r.text("SecurityGroupIds"))
			e.policy(t, id(r.name), r.properties["PolicyDocument"])
		case "AWS::EC2::SecurityGroup":
			e.fact("security group", r.text("VpcId"), r.text("GroupDescription"))
			for property, direction := range map[string]string{"SecurityGroupIngress": "in", "SecurityGroupEgress": "out"} {
				rules, _ := r.properties[property].([]any)
				if len(rules) == 0 {
					t.Errorf("%s has no %s: AWS's own lets everything out", r.name, property)
				}
				for _, one := range rules {
					rule(resource{properties: one.(map[string]any)}, id(r.name), direction)
				}
			}
		case "AWS::EC2::SecurityGroupEgress":
			rule(r, r.text("GroupId"), "out")
		case "AWS::IAM::Role":
			e.policy(t, id(r.name), r.properties["AssumeRolePolicyDocument"])
			for _, arn := range r.properties["ManagedPolicyArns"].([]any) {
				e.fact("role", id(r.name), "has", arn.(string))
			}
		case "AWS::IAM::InstanceProfile":
			e.fact("profile of", r.properties["Roles"].([]any)[0].(string))
		case "AWS::IAM::ManagedPolicy":
			e.fact("policy", r.text("Description"))
			e.policy(t, id(r.name), r.properties["PolicyDocument"])
		case "AWS::EC2::LaunchTemplate":
			e.fact("metadata", r.text("LaunchTemplateData", "MetadataOptions", "HttpTokens"), r.text("LaunchTemplateData", "MetadataOptions", "HttpPutResponseHopLimit"))
		case "AWS::EC2::Instance":
			if r.text("LaunchTemplate", "LaunchTemplateId") != "BastionTemplate" {
				t.Errorf("the bastion does not use the launch template that asks for IMDSv2")
			}
			network := resource{properties: r.properties["NetworkInterfaces"].([]any)[0].(map[string]any)}
			disk := resource{properties: r.properties["BlockDeviceMappings"].([]any)[0].(map[string]any)}
			e.fact("bastion", r.text("ImageId"), r.text("InstanceType"), "key", r.text("KeyName"), "profile", r.text("IamInstanceProfile"),
				network.text("SubnetId"), network.text("AssociatePublicIpAddress"), network.text("GroupSet"), disk.text("Ebs", "Encrypted"), disk.text("Ebs", "VolumeType"))
			e.fact("boot", r.text("UserData"))
		default:
			t.Errorf("%s is not compared", r.kind)
		}
	}
	slices.Sort(e.Facts)
	return e
}

func fromTerraform(t *testing.T, o options) environment {
	made, outputs := terraform(t, o)
	e := environment{Policies: map[string]string{}, Outputs: outputs}
	rule := func(r resource, direction string) {
		e.fact(r.text("security_group_id"), direction, r.text("ip_protocol"), r.text("from_port"), r.text("to_port"),
			r.text("cidr_ipv4")+r.text("prefix_list_id")+r.text("referenced_security_group_id"))
	}
	for _, r := range made {
		itself := id(r.kind + "." + r.name)
		switch r.kind {
		case "aws_vpc":
			e.fact("vpc", r.text("cidr_block"), r.text("enable_dns_support"), r.text("enable_dns_hostnames"))
		case "aws_subnet":
			e.fact("subnet", r.text("vpc_id"), r.text("cidr_block"))
		case "aws_internet_gateway":
			e.fact("internet", r.text("vpc_id"))
		case "aws_route_table":
			e.fact("route table", r.text("vpc_id"))
		case "aws_route":
			e.fact("route", r.text("route_table_id"), r.text("destination_cidr_block"), r.text("gateway_id"))
		case "aws_route_table_association":
			e.fact("association", r.text("subnet_id"), r.text("route_table_id"))
		case "aws_vpc_endpoint":
			e.fact("endpoint", itself, r.text("vpc_id"), r.text("vpc_endpoint_type"), r.text("service_name"), r.text("route_table_ids"),
				r.text("private_dns_enabled"), r.text("subnet_ids"), r.text("security_group_ids"))
			e.policy(t, itself, r.properties["policy"])
		case "aws_security_group":
			e.fact("security group", r.text("vpc_id"), r.text("description"))
		case "aws_vpc_security_group_ingress_rule":
			rule(r, "in")
		case "aws_vpc_security_group_egress_rule":
			rule(r, "out")
		case "aws_iam_role":
			e.policy(t, itself, r.properties["assume_role_policy"])
		case "aws_iam_role_policy_attachment":
			e.fact("role", r.text("role"), "has", r.text("policy_arn"))
		case "aws_iam_instance_profile":
			e.fact("profile of", r.text("role"))
		case "aws_iam_policy":
			e.fact("policy", r.text("description"))
			e.policy(t, itself, r.properties["policy"])
		case "aws_instance":
			e.fact("metadata", r.text("metadata_options", "http_tokens"), r.text("metadata_options", "http_put_response_hop_limit"))
			e.fact("bastion", r.text("ami"), r.text("instance_type"), "key", r.text("key_name"), "profile", r.text("iam_instance_profile"),
				r.text("subnet_id"), r.text("associate_public_ip_address"), r.text("vpc_security_group_ids"),
				r.text("root_block_device", "encrypted"), r.text("root_block_device", "volume_type"))
			e.fact("boot", r.text("user_data"))
		default:
			t.Errorf("%s is not compared", r.kind)
		}
	}
	slices.Sort(e.Facts)
	return e
}

// snake turns the template's names into the module's.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
