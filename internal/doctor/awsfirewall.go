package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// answer is what rules say: no is the zero value.
type answer int

const (
	no answer = iota
	perhaps
	yes
)

// httpsPort is where DynamoDB answers.
const httpsPort = 443

// groups describes security groups.
func (n *network) groups(ctx context.Context, ids []string) ([]types.SecurityGroup, *Finding) {
	out, err := n.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: ids})
	if err != nil {
		s := unasked(err, "ec2:DescribeSecurityGroups")
		return nil, &s
	}
	return out.SecurityGroups, nil
}

// admits reports whether a security group's rules let TCP to or from an address on
// port 443. list is the prefix list that the address is in, and peers are the
// groups of whoever has it.
func admits(rules []types.IpPermission, a netip.Addr, list string, peers []string) answer {
	best := no
	for _, r := range rules {
		if p := aws.ToString(r.IpProtocol); p != "-1" && p != "tcp" && p != "6" {
			continue
		}
		if p := aws.ToString(r.IpProtocol); p != "-1" && (aws.ToInt32(r.FromPort) > httpsPort || aws.ToInt32(r.ToPort) < httpsPort) {
			continue
		}
		for _, c := range r.IpRanges {
			if p, err := netip.ParsePrefix(aws.ToString(c.CidrIp)); err == nil && p.Contains(a) {
				return yes
			}
		}
		for _, g := range r.UserIdGroupPairs {
			if slices.Contains(peers, aws.ToString(g.GroupId)) {
				return yes
			}
		}
		for _, l := range r.PrefixListIds {
			if id := aws.ToString(l.PrefixListId); list != "" && id == list {
				return yes
			}
			best = perhaps // a list of one's own may have the address too
		}
	}
	return best
}

// dialled are addresses that stand for all that the bastion has to reach: one of
// each range of DynamoDB's, or those of the interface endpoint with their subnets.
// Where the ranges may not be asked for, what the bastion's DNS answered has to do.
func (n *network) dialled(ctx context.Context, f *Facts) (addrs []netip.Addr, subnets map[netip.Addr]string, skip *Finding) {
	if !n.isGateway() {
		subnets, skip = n.interfaceAddrs(ctx)
		return slices.SortedFunc(maps.Keys(subnets), netip.Addr.Compare), subnets, skip
	}
	p := n.dynamodb(ctx)
	for _, c := range p.cidrs {
		addrs = append(addrs, c.Addr())
	}
	if p.skip != nil && len(f.Addresses) > 0 {
		return slices.Clone(f.Addresses), nil, nil
	}
	return addrs, nil, p.skip
}

// lookEgress sees that a security group of the bastion lets it open connections to
// port 443 of DynamoDB. Groups remember connections, so replies need no rule.
func (n *network) lookEgress(ctx context.Context, f *Facts) Finding {
	if len(f.SecurityGroups) == 0 {
		return Skip("the bastion's security groups are not known")
	}
	addrs, _, skip := n.dialled(ctx, f)
	if skip != nil {
		return *skip
	}
	groups, skip := n.groups(ctx, f.SecurityGroups)
	if skip != nil {
		return *skip
	}
	var rules []types.IpPermission
	for _, g := range groups {
		rules = append(rules, g.IpPermissionsEgress...)
	}
	var list, whither string
	var peers []string
	if n.isGateway() {
		list = n.prefixes.id
		whither = fmt.Sprintf("PrefixListIds=[{PrefixListId=%s}]", nameOr(list, "pl-…"))
	} else {
		for _, g := range n.endpoint.Groups {
			peers = append(peers, aws.ToString(g.GroupId))
		}
		whither = fmt.Sprintf("UserIdGroupPairs=[{GroupId=%s}]", nameOr(strings.Join(peers, ""), "sg-…"))
		if len(peers) > 1 {
			whither = fmt.Sprintf("UserIdGroupPairs=[{GroupId=%s}]", peers[0])
		}
	}
	unsure := false
	for _, a := range addrs {
		switch admits(rules, a, list, peers) {
		case no:
			of := ""
			if !n.isGateway() {
				of = ", of " + f.VPCE
			} else if list != "" {
				of = ", of DynamoDB's prefix list " + list
			}
			return Bad(fmt.Sprintf("%s lets nothing out to %s, port 443%s", strings.Join(f.SecurityGroups, ", "), a, of),
				"Connections of the bastion to DynamoDB get no answer.",
				n.aws("ec2 authorize-security-group-egress --group-id %s --ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,%s'", f.SecurityGroups[0], whither))
		case perhaps:
			unsure = true
		}
	}
	if unsure {
		return Skip("%s has rules for prefix lists that are not known here", f.SecurityGroups[0])
	}
	return Well("%s lets port 443 out", strings.Join(f.SecurityGroups, ", "))
}
