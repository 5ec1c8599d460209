package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
)

// serviceName is what the endpoint has to be for, in a region.
func serviceName(f *Facts, region string) string {
	return "com.amazonaws." + region + "." + wanted(f).Service.String()
}

// lookEndpoint finds the endpoint: that which was named, or the one in the
// bastion's VPC. Of several a gateway endpoint comes first, unless the bastion's
// DNS answered with a private address, as an interface endpoint's private DNS
// does.
func (n *network) lookEndpoint(ctx context.Context, f *Facts) Finding {
	in := &ec2.DescribeVpcEndpointsInput{}
	switch {
	case f.VPCE != "":
		in.VpcEndpointIds = []string{f.VPCE}
	case f.VPC != "":
		in.Filters = []types.Filter{filter("vpc-id", f.VPC)}
	default:
		return Skip("neither the bastion's VPC nor the endpoint's id is known: give --vpce vpce-…")
	}
	var all []types.VpcEndpoint
	for pages := ec2.NewDescribeVpcEndpointsPaginator(n.ec2, in); pages.HasMorePages(); {
		out, err := pages.NextPage(ctx)
		switch {
		case isCode(err, "InvalidVpcEndpointId.NotFound"), isCode(err, "InvalidVpcEndpoint.NotFound"), isCode(err, "InvalidVpcEndpointId.Malformed"):
			return n.noEndpoint(f)
		case err != nil:
			return unasked(err, "ec2:DescribeVpcEndpoints")
		}
		all = append(all, out.VpcEndpoints...)
	}
	if f.VPCE != "" {
		if len(all) == 0 {
			return n.noEndpoint(f)
		}
		n.endpoint = &all[0]
		if vpc := aws.ToString(all[0].VpcId); f.VPC != "" && vpc != f.VPC {
			f.path = denial.Past
			return Bad(fmt.Sprintf("%s is in %s, the bastion in %s", f.VPCE, vpc, f.VPC),
				"An endpoint serves its own VPC only, so the bastion's calls never come through this one.",
				"see which the bastion's VPC has, or use a bastion in "+vpc+": "+n.aws("ec2 describe-vpc-endpoints --filters Name=vpc-id,Values=%s", f.VPC))
		}
		return n.found(f)
	}
	service := serviceName(f, n.region)
	var others []string
	fits := slices.DeleteFunc(slices.Clone(all), func(e types.VpcEndpoint) bool { return aws.ToString(e.ServiceName) != service })
	for _, e := range all {
		others = append(others, aws.ToString(e.VpcEndpointId)+" for "+aws.ToString(e.ServiceName))
	}
	if len(fits) == 0 {
		f.path = denial.Past
		detail := f.VPC + " has no endpoint for " + service
		if len(others) > 0 {
			detail += "; it has " + strings.Join(others, ", ")
		}
		return Bad(detail, "The bastion's calls go to DynamoDB's public addresses, and policies with aws:SourceVpce deny them.", n.create(ctx, f, service))
	}
	private := slices.ContainsFunc(f.Addresses, isPrivate)
	slices.SortStableFunc(fits, func(a, b types.VpcEndpoint) int {
		rank := func(e types.VpcEndpoint) int {
			if (e.VpcEndpointType == types.VpcEndpointTypeInterface) == (private && aws.ToBool(e.PrivateDnsEnabled)) {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	n.endpoint = &fits[0]
	return n.found(f)
}

func (n *network) found(f *Facts) Finding {
	f.VPCE = aws.ToString(n.endpoint.VpcEndpointId)
	return Well("%s, %s", f.VPCE, strings.ToLower(string(n.endpoint.VpcEndpointType)))
}

func (n *network) noEndpoint(f *Facts) Finding {
	return Bad(fmt.Sprintf("there is no endpoint %s in %s", f.VPCE, n.region),
		"It was deleted, or it is in another account or region. Policies that name it admit nobody.",
		"see which there are: "+n.aws("ec2 describe-vpc-endpoints --query 'VpcEndpoints[].[VpcEndpointId,VpcId,ServiceName]'"))
}

// create is the command that makes the endpoint that is missing.
func (n *network) create(ctx context.Context, f *Facts, service string) string {
	if strings.HasSuffix(service, "-streams") { // no gateway endpoint serves it
		return n.aws("ec2 create-vpc-endpoint --vpc-endpoint-type Interface --vpc-id %s --service-name %s --subnet-ids %s", f.VPC, service, nameOr(f.Subnet, "subnet-…"))
	}
	table := "rtb-…"
	if t, skip := n.routeTable(ctx, f); skip == nil {
		table = aws.ToString(t.RouteTableId)
	}
	return n.aws("ec2 create-vpc-endpoint --vpc-id %s --service-name %s --route-table-ids %s", f.VPC, service, table)
}

// lookService sees that the endpoint is for DynamoDB, in the region that is served.
func (n *network) lookService(_ context.Context, f *Facts) Finding {
	got := aws.ToString(n.endpoint.ServiceName)
	region := wanted(f).Region
	if region != "" && region != n.region {
		f.path = denial.Past
		return Bad(fmt.Sprintf("the bastion is in %s, and %s is served", n.region, region),
			"An endpoint serves the DynamoDB of its own region; calls to another leave the VPC past it.",
			"use a bastion in "+region+", or serve the bastion's region: ddbproxy connect … --region "+n.region)
	}
	want := serviceName(f, n.region)
	// A FIPS name has an endpoint of its own, com.amazonaws.REGION.dynamodb-fips.
	if got == want || got == want+"-fips" {
		return Well("%s", got)
	}
	f.path = denial.Past
	meaning := "Calls to DynamoDB do not come through it."
	if strings.HasSuffix(want, "-streams") {
		meaning = "DynamoDB Streams has an interface endpoint of its own; that of DynamoDB does not serve it."
	}
	return Bad(fmt.Sprintf("%s is for %s, not for %s", f.VPCE, got, want), meaning,
		"find the right one: "+n.aws("ec2 describe-vpc-endpoints --filters Name=service-name,Values=%s", want))
}

// lookState sees that the endpoint works: "available" in the API reference,
// "Available" in some answers.
func (n *network) lookState(_ context.Context, f *Facts) Finding {
	state := strings.ToLower(string(n.endpoint.State))
	switch state {
	case "available":
		return Well("available")
	case "pending":
		return Bad("pending", "It is being made and does not carry calls yet.", "wait a few minutes, then run ddbproxy doctor again")
	case "pendingacceptance":
		return Bad("waits for acceptance", "The owner of the service has not accepted it yet.", "have the service's owner accept it (VPC console, Endpoint services)")
	}
	detail := state
	if e := n.endpoint.LastError; e != nil {
		detail += ": " + aws.ToString(e.Message)
	}
	return Bad(detail, "It does not carry calls, and does not come back by itself.",
		"delete it, and make it again: "+n.aws("ec2 delete-vpc-endpoints --vpc-endpoint-ids %s", f.VPCE))
}
