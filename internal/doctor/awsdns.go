package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
)

// prefixList are DynamoDB's public addresses in a region, which is also where a
// gateway endpoint's route leads.
type prefixList struct {
	id    string
	cidrs []netip.Prefix
	skip  *Finding // why it is not known
}

func (p *prefixList) contains(a netip.Addr) bool {
	return slices.ContainsFunc(p.cidrs, func(c netip.Prefix) bool { return c.Contains(a) })
}

// dynamodb asks for the prefix list once.
func (n *network) dynamodb(ctx context.Context) *prefixList {
	if n.prefixes != nil {
		return n.prefixes
	}
	n.prefixes = &prefixList{}
	fail := func(s Finding) *prefixList { n.prefixes.skip = &s; return n.prefixes }
	name := "com.amazonaws." + n.region + ".dynamodb"
	out, err := n.ec2.DescribePrefixLists(ctx, &ec2.DescribePrefixListsInput{Filters: []types.Filter{filter("prefix-list-name", name)}})
	if err != nil {
		return fail(unasked(err, "ec2:DescribePrefixLists"))
	}
	for _, l := range out.PrefixLists {
		n.prefixes.id = aws.ToString(l.PrefixListId)
		for _, c := range l.Cidrs {
			if p, err := netip.ParsePrefix(c); err == nil {
				n.prefixes.cidrs = append(n.prefixes.cidrs, p)
			}
		}
	}
	if len(n.prefixes.cidrs) == 0 {
		return fail(Skip("EC2 shows no prefix list %s", name))
	}
	return n.prefixes
}

// isPrivate is a VPC's own address (RFC 1918, 6598, 4193).
func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// lookDNS sees that what the bastion's DNS answers leads to the endpoint.
func (n *network) lookDNS(ctx context.Context, f *Facts) Finding {
	name := cmp.Or(f.Endpoint, "DynamoDB")
	addrs := slices.DeleteFunc(slices.Clone(f.Addresses), func(a netip.Addr) bool { return !a.Unmap().Is4() })
	if len(addrs) == 0 {
		return Skip("the bastion did not tell an address of %s", name)
	}
	if r := wanted(f).Region; r != "" && r != n.region {
		return Skip("%s is of another region than the bastion", name)
	}
	var is func(netip.Addr) bool
	var whose string
	if n.isGateway() {
		p := n.dynamodb(ctx)
		if p.skip != nil {
			return *p.skip
		}
		is, whose = p.contains, p.id
	} else {
		if wanted(f).VPCE == "" && !aws.ToBool(n.endpoint.PrivateDnsEnabled) {
			return Skip("%s is not a name of %s", name, f.VPCE)
		}
		cards, skip := n.interfaceAddrs(ctx)
		if skip != nil {
			return *skip
		}
		is, whose = func(a netip.Addr) bool { return cards[a] != "" }, f.VPCE
	}
	var strange []string
	for _, a := range addrs {
		if !is(a.Unmap()) {
			strange = append(strange, a.String())
		}
	}
	if len(strange) == 0 {
		return Well("%s, in %s", addrs[0], whose)
	}
	f.path = denial.Past
	meaning := "The bastion's DNS leads past the endpoint: a resolver of its own, a line in /etc/hosts or a private hosted zone answers."
	if n.isGateway() && isPrivate(addrs[0]) {
		meaning = "That is an interface endpoint's private DNS, or a private hosted zone, and not the gateway endpoint that was looked at."
	}
	return Bad(fmt.Sprintf("%s is %s, not in %s", name, strings.Join(strange, ", "), whose), meaning,
		"compare with the VPC's own resolver, on the bastion: dig +short "+name+" @169.254.169.253")
}
