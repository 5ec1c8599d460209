package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
)

// isGateway reports whether the endpoint that was found is one; none counts as one,
// since then DynamoDB's public addresses are dialled.
func (n *network) isGateway() bool {
	return n.endpoint == nil || n.endpoint.VpcEndpointType != types.VpcEndpointTypeInterface
}

// lookWay sees that the bastion's traffic gets to the endpoint: by its subnet's
// route table, or to the addresses of an interface endpoint.
func (n *network) lookWay(ctx context.Context, f *Facts) Finding {
	if n.isGateway() {
		return n.lookRoute(ctx, f)
	}
	return n.lookInterface(ctx, f)
}

// routeTable is that of the bastion's subnet: the one associated with it, else the
// VPC's main table.
func (n *network) routeTable(ctx context.Context, f *Facts) (types.RouteTable, *Finding) {
	skip := func(s Finding) (types.RouteTable, *Finding) { return types.RouteTable{}, &s }
	if f.Subnet == "" {
		return skip(Skip("the bastion's subnet is not known"))
	}
	for _, filters := range [][]types.Filter{
		{filter("association.subnet-id", f.Subnet)},
		{filter("vpc-id", f.VPC), filter("association.main", "true")},
	} {
		out, err := n.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: filters})
		if err != nil {
			return skip(unasked(err, "ec2:DescribeRouteTables"))
		}
		if len(out.RouteTables) > 0 {
			return out.RouteTables[0], nil
		}
	}
	return skip(Skip("EC2 shows no route table for %s", f.Subnet))
}

func (n *network) lookRoute(ctx context.Context, f *Facts) Finding {
	table, skip := n.routeTable(ctx, f)
	if skip != nil {
		return *skip
	}
	id := aws.ToString(table.RouteTableId)
	if !slices.Contains(n.endpoint.RouteTableIds, id) {
		f.path = denial.Past
		meaning := "There is no default route either, so the bastion's calls to DynamoDB go nowhere."
		if by := defaultRoute(table); by != "" {
			meaning = "The bastion's calls go by " + by + " to DynamoDB's public addresses, and policies with aws:SourceVpce deny them."
		}
		return Bad(fmt.Sprintf("%s, of the bastion's subnet, has no route to %s", id, f.VPCE), meaning,
			n.aws("ec2 modify-vpc-endpoint --vpc-endpoint-id %s --add-route-table-ids %s", f.VPCE, id))
	}
	for _, r := range table.Routes {
		if aws.ToString(r.GatewayId) == f.VPCE && r.State == types.RouteStateBlackhole {
			return Bad(fmt.Sprintf("the route of %s to %s is a blackhole", id, f.VPCE),
				"Its packets are dropped: calls hang.",
				"take the route out, and add it again: "+n.aws("ec2 modify-vpc-endpoint --vpc-endpoint-id %s --remove-route-table-ids %s", f.VPCE, id))
		}
	}
	f.path = denial.Through
	return Well("%s has it", id)
}

// defaultRoute is where packets go that no other route takes; "" for nowhere.
func defaultRoute(table types.RouteTable) string {
	for _, r := range table.Routes {
		if aws.ToString(r.DestinationCidrBlock) == "0.0.0.0/0" {
			for _, to := range []*string{r.GatewayId, r.NatGatewayId, r.TransitGatewayId, r.InstanceId, r.NetworkInterfaceId} {
				if aws.ToString(to) != "" {
					return *to
				}
			}
		}
	}
	return ""
}

// lookInterface sees that an interface endpoint is dialled, and lets the bastion in.
func (n *network) lookInterface(ctx context.Context, f *Facts) Finding {
	if !aws.ToBool(n.endpoint.PrivateDnsEnabled) && wanted(f).VPCE == "" {
		name := "NAME"
		if len(n.endpoint.DnsEntries) > 0 {
			name = aws.ToString(n.endpoint.DnsEntries[0].DnsName)
		}
		f.path = denial.Past
		return Bad(f.VPCE+" has no private DNS, and the session dials "+nameOr(f.Endpoint, "the public name"),
			"That name is of DynamoDB's public addresses, so calls do not come through the endpoint.",
			"ddbproxy connect … --endpoint "+name)
	}
	f.path = denial.Through
	var ids []string
	for _, g := range n.endpoint.Groups {
		ids = append(ids, aws.ToString(g.GroupId))
	}
	if len(ids) == 0 || !f.PrivateAddr.IsValid() {
		return Skip("the security groups of %s or the bastion's address are not known", f.VPCE)
	}
	groups, skip := n.groups(ctx, ids)
	if skip != nil {
		return *skip
	}
	var rules []types.IpPermission
	for _, g := range groups {
		rules = append(rules, g.IpPermissions...)
	}
	switch admits(rules, f.PrivateAddr, "", f.SecurityGroups) {
	case no:
		return Bad(fmt.Sprintf("%s of %s does not let %s in on port 443", ids[0], f.VPCE, f.PrivateAddr),
			"Connections of the bastion to the endpoint get no answer.",
			n.aws("ec2 authorize-security-group-ingress --group-id %s "+source(f.PrivateAddr), ids[0]))
	case perhaps:
		return Skip("%s has rules for prefix lists that are not known here", ids[0])
	}
	return Well("%s lets %s in", ids[0], f.PrivateAddr)
}

// source is one address's connections to port 443, as options of the AWS CLI.
func source(a netip.Addr) string {
	if a.Is4() {
		return fmt.Sprintf("--protocol tcp --port 443 --cidr %s/32", a)
	}
	return fmt.Sprintf("--ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,Ipv6Ranges=[{CidrIpv6=%s/128}]'", a)
}

// interfaceAddrs are the private addresses of an interface endpoint, and in which
// subnets they are.
func (n *network) interfaceAddrs(ctx context.Context) (map[netip.Addr]string, *Finding) {
	all := map[netip.Addr]string{}
	out, err := n.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: n.endpoint.NetworkInterfaceIds})
	if err != nil {
		s := unasked(err, "ec2:DescribeNetworkInterfaces")
		return nil, &s
	}
	for _, i := range out.NetworkInterfaces {
		if a, err := netip.ParseAddr(aws.ToString(i.PrivateIpAddress)); err == nil {
			all[a] = aws.ToString(i.SubnetId)
		}
	}
	if len(all) == 0 {
		s := Skip("EC2 shows no network interface of the endpoint")
		return nil, &s
	}
	return all, nil
}
