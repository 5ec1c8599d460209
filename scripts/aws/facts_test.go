package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

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
			e.fact(id(r.name), r.text("VpcId"), r.text("CidrBlock"), r.text("AvailabilityZone"))
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
			own, _ := r.properties["Policies"].([]any)
			for _, p := range own {
				one := resource{properties: p.(map[string]any)}
				e.policy(t, id(r.name)+" "+one.text("PolicyName"), one.properties["PolicyDocument"])
			}
		case "AWS::IAM::InstanceProfile":
			e.fact("profile of", r.properties["Roles"].([]any)[0].(string))
		case "AWS::IAM::ManagedPolicy":
			e.fact("policy", r.text("Description"))
			e.policy(t, id(r.name), r.properties["PolicyDocument"])
		case "AWS::EC2::LaunchTemplate":
			data := resource{properties: r.properties["LaunchTemplateData"].(map[string]any)}
			disk, tags := data.first("BlockDeviceMappings"), data.first("TagSpecifications")
			e.fact("metadata", data.text("MetadataOptions", "HttpTokens"), data.text("MetadataOptions", "HttpPutResponseHopLimit"))
			e.fact("machine", data.text("ImageId"), data.text("InstanceType"), "key", data.text("KeyName"), "profile", data.text("IamInstanceProfile", "Name"),
				disk.text("Ebs", "Encrypted"), disk.text("Ebs", "VolumeType"), tags.first("Tags").text("Value"))
			e.fact("boot", strings.Replace(data.text("UserData"), "stack='"+stack+"'", "stack=''", 1)) // Terraform waits for the load balancer
			if network, ok := data.properties["NetworkInterfaces"]; ok {
				network := resource{properties: network.([]any)[0].(map[string]any)}
				e.fact("network", network.text("AssociatePublicIpAddress"), network.text("Groups"))
			}
		case "AWS::EC2::Instance":
			usesTemplate(t, r)
			network := r.first("NetworkInterfaces")
			e.fact("network", network.text("AssociatePublicIpAddress"), network.text("GroupSet"))
			e.fact("bastion in", network.text("SubnetId"))
			e.after("bastion", r.after)
		case "AWS::AutoScaling::AutoScalingGroup":
			usesTemplate(t, r)
			e.fact("group in", r.text("VPCZoneIdentifier"), r.text("MinSize"), r.text("DesiredCapacity"), r.text("MaxSize"))
			e.fact("group of", r.text("TargetGroupARNs"), r.text("HealthCheckType"), r.text("HealthCheckGracePeriod"))
			e.after("group", r.after)
		case "AWS::ElasticLoadBalancingV2::LoadBalancer":
			e.fact("balancer", r.text("Type"), "internal", fmt.Sprint(r.text("Scheme") == "internal"), r.text("Subnets"), r.text("SecurityGroups"),
				"cross-zone", attributes(r, "LoadBalancerAttributes")["load_balancing.cross_zone.enabled"])
			e.after("balancer", r.after)
		case "AWS::ElasticLoadBalancingV2::TargetGroup":
			e.fact("targets", r.text("VpcId"), r.text("TargetType"), r.text("Protocol"), r.text("Port"))
			e.fact("health", r.text("HealthCheckProtocol"), r.text("HealthCheckPort"), r.text("HealthCheckIntervalSeconds"), r.text("HealthyThresholdCount"), r.text("UnhealthyThresholdCount"))
			a := attributes(r, "TargetGroupAttributes")
			e.fact("leaving", a["deregistration_delay.timeout_seconds"], "cut", a["deregistration_delay.connection_termination.enabled"], "address kept", a["preserve_client_ip.enabled"])
		case "AWS::ElasticLoadBalancingV2::Listener":
			action := r.first("DefaultActions")
			e.fact("listener", r.text("LoadBalancerArn"), r.text("Protocol"), r.text("Port"), action.text("Type"), action.text("TargetGroupArn"))
		default:
			t.Errorf("%s is not compared", r.kind)
		}
	}
	slices.Sort(e.Facts)
	return e
}

// usesTemplate fails where r is not a machine of the launch template's newest
// version.
func usesTemplate(t *testing.T, r resource) {
	t.Helper()
	if got := r.text("LaunchTemplate", "LaunchTemplateId") + " " + r.text("LaunchTemplate", "Version"); got != "template template LatestVersionNumber" {
		t.Errorf("%s uses %s, not the launch template", r.name, got)
	}
}

// attributes are those that Elastic Load Balancing has in a list.
func attributes(r resource, property string) map[string]string {
	all := map[string]string{}
	list, _ := r.properties[property].([]any)
	for _, one := range list {
		one := resource{properties: one.(map[string]any)}
		all[one.text("Key")] = one.text("Value")
	}
	return all
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
		after, _ := r.properties["depends_on"].([]any)
		switch r.kind {
		case "aws_vpc":
			e.fact("vpc", r.text("cidr_block"), r.text("enable_dns_support"), r.text("enable_dns_hostnames"))
		case "aws_subnet":
			e.fact(itself, r.text("vpc_id"), r.text("cidr_block"), r.text("availability_zone"))
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
		case "aws_iam_role_policy":
			e.policy(t, r.text("role")+" "+r.text("name"), r.properties["policy"])
		case "aws_instance", "aws_launch_template":
			e.fact("metadata", r.text("metadata_options", "http_tokens"), r.text("metadata_options", "http_put_response_hop_limit"))
			e.fact("boot", r.text("user_data"))
			if r.kind == "aws_launch_template" {
				e.fact("machine", r.text("image_id"), r.text("instance_type"), "key", r.text("key_name"), "profile", r.text("iam_instance_profile", "name"),
					r.text("block_device_mappings", "ebs", "encrypted"), r.text("block_device_mappings", "ebs", "volume_type"), r.text("tag_specifications", "tags", "Name"))
				e.fact("network", r.text("network_interfaces", "associate_public_ip_address"), r.text("network_interfaces", "security_groups"))
				break
			}
			e.fact("machine", r.text("ami"), r.text("instance_type"), "key", r.text("key_name"), "profile", r.text("iam_instance_profile"),
				r.text("root_block_device", "encrypted"), r.text("root_block_device", "volume_type"), r.text("tags", "Name"))
			e.fact("network", r.text("associate_public_ip_address"), r.text("vpc_security_group_ids"))
			e.fact("bastion in", r.text("subnet_id"))
			e.after("bastion", after)
		case "aws_autoscaling_group":
			if got := r.text("launch_template", "id") + " " + r.text("launch_template", "version"); got != "template template LatestVersionNumber" {
				t.Errorf("the group uses %s, not the launch template", got)
			}
			e.fact("group in", r.text("vpc_zone_identifier"), r.text("min_size"), r.text("desired_capacity"), r.text("max_size"))
			e.fact("group of", r.text("target_group_arns"), r.text("health_check_type"), r.text("health_check_grace_period"))
			e.after("group", after)
		case "aws_lb":
			e.fact("balancer", r.text("load_balancer_type"), "internal", r.text("internal"), r.text("subnets"), r.text("security_groups"),
				"cross-zone", r.text("enable_cross_zone_load_balancing"))
			e.after("balancer", after)
		case "aws_lb_target_group":
			e.fact("targets", r.text("vpc_id"), r.text("target_type"), r.text("protocol"), r.text("port"))
			e.fact("health", r.text("health_check", "protocol"), r.text("health_check", "port"), r.text("health_check", "interval"), r.text("health_check", "healthy_threshold"), r.text("health_check", "unhealthy_threshold"))
			e.fact("leaving", r.text("deregistration_delay"), "cut", r.text("connection_termination"), "address kept", r.text("preserve_client_ip"))
		case "aws_lb_listener":
			e.fact("listener", r.text("load_balancer_arn"), r.text("protocol"), r.text("port"), r.text("default_action", "type"), r.text("default_action", "target_group_arn"))
		default:
			t.Errorf("%s is not compared", r.kind)
		}
	}
	slices.Sort(e.Facts)
	return e
}
