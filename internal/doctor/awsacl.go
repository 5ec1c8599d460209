package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// ephemeral are the ports from which Linux opens connections, and so those that
// replies come to (ip_local_port_range in the kernel's ip-sysctl.rst).
var ephemeral = ports{32768, 60999}

// ports is a range, both ends in it.
type ports struct{ from, to int32 }

// refusing is the port of a range for which a network ACL's rules drop TCP packets
// to an address (egress) or from it, and the number of the rule that does; ok is
// false if none is dropped. Rules hold in the order of their numbers, and the
// first that fits decides; what fits none is dropped, by the rule "*" (32767).
func refusing(entries []types.NetworkAclEntry, egress bool, a netip.Addr, p ports) (port, rule int32, ok bool) {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e types.NetworkAclEntry) bool {
		c, err := netip.ParsePrefix(aws.ToString(e.CidrBlock))
		protocol := aws.ToString(e.Protocol)
		return aws.ToBool(e.Egress) != egress || err != nil || !c.Contains(a) || protocol != "-1" && protocol != "6"
	})
	slices.SortFunc(entries, func(a, b types.NetworkAclEntry) int {
		return cmp.Compare(aws.ToInt32(a.RuleNumber), aws.ToInt32(b.RuleNumber))
	})
	span := func(e types.NetworkAclEntry) ports {
		if aws.ToString(e.Protocol) == "-1" || e.PortRange == nil {
			return ports{0, 65535}
		}
		return ports{aws.ToInt32(e.PortRange.From), aws.ToInt32(e.PortRange.To)}
	}
	// What rules say changes at the ends of their ranges only.
	tried := []int32{p.from}
	for _, e := range entries {
		s := span(e)
		tried = append(tried, s.from, s.to+1)
	}
	slices.Sort(tried)
	for _, port := range tried {
		if port < p.from || port > p.to {
			continue
		}
		i := slices.IndexFunc(entries, func(e types.NetworkAclEntry) bool { s := span(e); return s.from <= port && port <= s.to })
		switch {
		case i < 0:
			return port, 32767, true
		case entries[i].RuleAction != types.RuleActionAllow:
			return port, aws.ToInt32(entries[i].RuleNumber), true
		}
	}
	return 0, 0, false
}

// lookACL sees that the network ACL of the bastion's subnet lets packets to
// DynamoDB out and replies in; ACLs do not remember connections. Within a subnet
// there is none.
func (n *network) lookACL(ctx context.Context, f *Facts) Finding {
	if f.Subnet == "" {
		return Skip("the bastion's subnet is not known")
	}
	addrs, subnets, skip := n.dialled(ctx, f)
	if skip != nil {
		return *skip
	}
	out, err := n.ec2.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: []types.Filter{filter("association.subnet-id", f.Subnet)}})
	switch {
	case err != nil:
		return unasked(err, "ec2:DescribeNetworkAcls")
	case len(out.NetworkAcls) == 0:
		return Skip("EC2 shows no network ACL for %s", f.Subnet)
	}
	acl := out.NetworkAcls[0]
	id := aws.ToString(acl.NetworkAclId)
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return subnets[a] == f.Subnet })
	if len(addrs) == 0 {
		return Well("none within %s, where the endpoint is too", f.Subnet)
	}
	for _, a := range addrs {
		if _, rule, bad := refusing(acl.Entries, true, a, ports{httpsPort, httpsPort}); bad {
			return Bad(fmt.Sprintf("%s drops what goes out to %s, port 443, by rule %s", id, a, ruleName(rule)),
				"Connections of the bastion to DynamoDB get no answer.",
				n.admitting(acl, "--egress", rule, "443", "443"))
		}
		if port, rule, bad := refusing(acl.Entries, false, a, ephemeral); bad {
			return Bad(fmt.Sprintf("%s drops what comes from %s to port %d, by rule %s", id, a, port, ruleName(rule)),
				"DynamoDB's replies do not reach the bastion: connections get no answer, or now and then.",
				n.admitting(acl, "--ingress", rule, fmt.Sprint(ephemeral.from), fmt.Sprint(ephemeral.to)))
		}
	}
	return Well("%s lets port 443 out and replies in", id)
}

func ruleName(number int32) string {
	if number == 32767 {
		return "*"
	}
	return fmt.Sprint(number)
}

// admitting is the command that adds a rule before the one that drops.
func (n *network) admitting(acl types.NetworkAcl, direction string, before int32, from, to string) string {
	number := before - 1
	for taken := true; taken && number > 0; {
		taken = slices.ContainsFunc(acl.Entries, func(e types.NetworkAclEntry) bool {
			return aws.ToBool(e.Egress) == (direction == "--egress") && aws.ToInt32(e.RuleNumber) == number
		})
		if taken {
			number--
		}
	}
	return n.aws("ec2 create-network-acl-entry --network-acl-id %s %s --rule-number %d --protocol tcp --port-range From=%s,To=%s --cidr-block 0.0.0.0/0 --rule-action allow",
		aws.ToString(acl.NetworkAclId), direction, max(number, 1), from, to)
}
