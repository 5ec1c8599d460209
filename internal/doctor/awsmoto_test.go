package doctor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/ddbproxy/ddbproxy/internal/vpc"
)

// The same troubles in moto, which was written by others from AWS's own answers,
// look the same: the fake does not flatter the checks.
func TestEachTroubleOfTheNetworkIsNamedInMoto(t *testing.T) {
	t.Parallel()
	address := withRanges(t, startMoto(t))
	want := golden(t, "testdata/network.txt")
	played := 0
	for _, tr := range troubles {
		if tr.fakeOnly != "" {
			continue
		}
		played++
		t.Run(tr.name, func(t *testing.T) {
			s, f := wellWorld()
			tr.change(s, f)
			cfg := configFor(address, s.KeyID, s.Secret)
			cfg.RetryMaxAttempts = 3
			ids := (&moto{t: t, ec2: ec2.NewFromConfig(cfg), ids: map[string]string{}}).build(s)
			g, err := renamed(f, ids)
			if err != nil {
				t.Fatal(err)
			}
			g.Config = cfg
			names := map[string]string{}
			for name, id := range ids {
				names[id] = name
			}
			if text, _ := printed(t, networkChecks(), g, names); text != want[tr.name] {
				t.Errorf("printed\n%s\nwant\n%s", text, want[tr.name])
			}
		})
	}
	if played < 25 {
		t.Errorf("moto played %d scenes only", played)
	}
}

// startMoto runs moto's server and gives its URL.
func startMoto(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("moto_server")
	if err != nil {
		program, err = exec.LookPath("../../.tools/python/bin/moto_server")
	}
	if err != nil {
		if os.Getenv("DDBPROXY_TEST_REQUIRE") != "" {
			t.Fatal("no moto_server here: scripts/test-deps installs it")
		}
		t.Skip("no moto_server here: scripts/test-deps installs it")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	var said strings.Builder
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if resp, err := http.Get("http://" + addr + "/moto-api/"); err == nil {
			resp.Body.Close()
			return "http://" + addr
		}
		select {
		case <-ended:
			t.Fatalf("moto_server ended: %s", &said)
		case <-ctx.Done():
			t.Fatalf("moto_server does not answer: %s", &said)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// withRanges is moto with the ranges in DescribePrefixLists, which it leaves out.
func withRanges(t *testing.T, moto string) string {
	t.Helper()
	target, err := url.Parse(moto)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := wellWorld()
	ranges := "</prefixListName><cidrSet>"
	for _, c := range s.PrefixLists[0].CIDRs {
		ranges += "<item>" + c + "</item>"
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			if bytes.Contains(body, []byte("<DescribePrefixListsResponse")) {
				if bytes.Contains(body, []byte("cidrSet")) {
					t.Error("moto has the ranges now: withRanges is not needed any more")
				}
				body = bytes.ReplaceAll(body, []byte("</prefixListName>"), []byte(ranges+"</cidrSet>"))
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			r.Header.Set("Content-Length", fmt.Sprint(len(body)))
			return nil
		},
	}
	web := httptest.NewServer(proxy)
	t.Cleanup(web.Close)
	return web.URL
}

// moto makes a scene there. ids has those that were given, by the scene's own.
type moto struct {
	t   *testing.T
	ec2 *ec2.Client
	ids map[string]string
}

// made ends the test on an error of a call that makes something.
func made[T any](t *testing.T) func(T, error) T {
	return func(out T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func (m *moto) build(s *vpc.Server) map[string]string {
	m.network(s)
	for _, g := range s.Groups {
		m.group(g)
	}
	for _, g := range s.Groups {
		m.rules(g)
	}
	for _, t := range s.RouteTables {
		m.routeTable(t)
	}
	for _, a := range s.ACLs {
		m.acl(a)
	}
	for _, e := range s.Endpoints {
		m.endpoint(e)
	}
	return m.ids
}

func (m *moto) all(names []string) (ids []string) {
	for _, name := range names {
		ids = append(ids, m.ids[name])
	}
	return ids
}

func (m *moto) network(s *vpc.Server) {
	ctx := m.t.Context()
	for i, name := range []string{sceneVPC, otherVPC} {
		out := made[*ec2.CreateVpcOutput](m.t)(m.ec2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String(fmt.Sprintf("10.%d.0.0/24", 86+i))}))
		m.ids[name] = *out.Vpc.VpcId
	}
	for i, name := range []string{sceneSubnet, linkSubnet} {
		out := made[*ec2.CreateSubnetOutput](m.t)(m.ec2.CreateSubnet(ctx, &ec2.CreateSubnetInput{
			VpcId: aws.String(m.ids[sceneVPC]), CidrBlock: aws.String(fmt.Sprintf("10.86.0.%d/25", 128*i)),
		}))
		m.ids[name] = *out.Subnet.SubnetId
	}
	gateway := made[*ec2.CreateInternetGatewayOutput](m.t)(m.ec2.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{}))
	m.ids[sceneInternet] = *gateway.InternetGateway.InternetGatewayId
	made[*ec2.AttachInternetGatewayOutput](m.t)(m.ec2.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{
		InternetGatewayId: gateway.InternetGateway.InternetGatewayId, VpcId: aws.String(m.ids[sceneVPC]),
	}))
	lists := made[*ec2.DescribePrefixListsOutput](m.t)(m.ec2.DescribePrefixLists(ctx, &ec2.DescribePrefixListsInput{
		Filters: []types.Filter{filter("prefix-list-name", s.PrefixLists[0].Name)},
	}))
	if len(lists.PrefixLists) != 1 {
		m.t.Fatalf("moto has %d prefix lists %s", len(lists.PrefixLists), s.PrefixLists[0].Name)
	}
	m.ids[sceneList] = *lists.PrefixLists[0].PrefixListId
}

func (m *moto) group(g vpc.Group) {
	out := made[*ec2.CreateSecurityGroupOutput](m.t)(m.ec2.CreateSecurityGroup(m.t.Context(), &ec2.CreateSecurityGroupInput{
		GroupName: aws.String(g.ID), Description: aws.String(g.ID), VpcId: aws.String(m.ids[g.VPC]),
	}))
	m.ids[g.ID] = *out.GroupId
}

// rules replaces those of a new group, which let everything out.
func (m *moto) rules(g vpc.Group) {
	permissions := func(all []vpc.Permission) (out []types.IpPermission) {
		for _, p := range all {
			one := types.IpPermission{IpProtocol: aws.String(p.Protocol), FromPort: aws.Int32(p.From), ToPort: aws.Int32(p.To)}
			if p.Protocol == "-1" {
				one.FromPort, one.ToPort = nil, nil
			}
			for _, c := range p.CIDRs {
				one.IpRanges = append(one.IpRanges, types.IpRange{CidrIp: aws.String(c)})
			}
			for _, id := range p.Groups {
				one.UserIdGroupPairs = append(one.UserIdGroupPairs, types.UserIdGroupPair{GroupId: aws.String(m.ids[id])})
			}
			for _, id := range p.PrefixLists {
				one.PrefixListIds = append(one.PrefixListIds, types.PrefixListId{PrefixListId: aws.String(m.ids[id])})
			}
			out = append(out, one)
		}
		return out
	}
	ctx, id := m.t.Context(), aws.String(m.ids[g.ID])
	made[*ec2.RevokeSecurityGroupEgressOutput](m.t)(m.ec2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{
		GroupId: id, IpPermissions: permissions([]vpc.Permission{{Protocol: "-1", CIDRs: []string{"0.0.0.0/0"}}}),
	}))
	if rules := permissions(g.Egress); len(rules) > 0 {
		made[*ec2.AuthorizeSecurityGroupEgressOutput](m.t)(m.ec2.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: id, IpPermissions: rules}))
	}
	if rules := permissions(g.Ingress); len(rules) > 0 {
		made[*ec2.AuthorizeSecurityGroupIngressOutput](m.t)(m.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: id, IpPermissions: rules}))
	}
}

// routeTable makes one with its routes but those to endpoints, which come with them.
func (m *moto) routeTable(t vpc.RouteTable) {
	ctx := m.t.Context()
	if slices.ContainsFunc(t.Associations, func(a vpc.Association) bool { return a.Main }) {
		out := made[*ec2.DescribeRouteTablesOutput](m.t)(m.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{
			Filters: []types.Filter{filter("vpc-id", m.ids[t.VPC]), filter("association.main", "true")},
		}))
		m.ids[t.ID] = *out.RouteTables[0].RouteTableId
	} else {
		out := made[*ec2.CreateRouteTableOutput](m.t)(m.ec2.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: aws.String(m.ids[t.VPC])}))
		m.ids[t.ID] = *out.RouteTable.RouteTableId
	}
	for _, a := range t.Associations {
		if a.Subnet != "" {
			made[*ec2.AssociateRouteTableOutput](m.t)(m.ec2.AssociateRouteTable(ctx, &ec2.AssociateRouteTableInput{
				RouteTableId: aws.String(m.ids[t.ID]), SubnetId: aws.String(m.ids[a.Subnet]),
			}))
		}
	}
	for _, r := range t.Routes {
		if r.CIDR != "" {
			made[*ec2.CreateRouteOutput](m.t)(m.ec2.CreateRoute(ctx, &ec2.CreateRouteInput{
				RouteTableId: aws.String(m.ids[t.ID]), DestinationCidrBlock: aws.String(r.CIDR), GatewayId: aws.String(m.ids[r.Gateway]),
			}))
		}
	}
}

// acl makes one and puts it in the place of the subnet's first.
func (m *moto) acl(a vpc.ACL) {
	ctx := m.t.Context()
	out := made[*ec2.CreateNetworkAclOutput](m.t)(m.ec2.CreateNetworkAcl(ctx, &ec2.CreateNetworkAclInput{VpcId: aws.String(m.ids[a.VPC])}))
	id := out.NetworkAcl.NetworkAclId
	m.ids[a.ID] = *id
	for _, e := range a.Entries {
		in := &ec2.CreateNetworkAclEntryInput{
			NetworkAclId: id, RuleNumber: aws.Int32(e.Number), Protocol: aws.String(e.Protocol), RuleAction: types.RuleAction(e.Action),
			Egress: aws.Bool(e.Egress), CidrBlock: aws.String(e.CIDR),
		}
		if e.Ports != nil {
			in.PortRange = &types.PortRange{From: aws.Int32(e.Ports.From), To: aws.Int32(e.Ports.To)}
		}
		made[*ec2.CreateNetworkAclEntryOutput](m.t)(m.ec2.CreateNetworkAclEntry(ctx, in))
	}
	subnet := m.ids[a.Associations[0].Subnet]
	before := made[*ec2.DescribeNetworkAclsOutput](m.t)(m.ec2.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{
		Filters: []types.Filter{filter("association.subnet-id", subnet)},
	}))
	for _, association := range before.NetworkAcls[0].Associations {
		if aws.ToString(association.SubnetId) == subnet {
			made[*ec2.ReplaceNetworkAclAssociationOutput](m.t)(m.ec2.ReplaceNetworkAclAssociation(ctx, &ec2.ReplaceNetworkAclAssociationInput{
				AssociationId: association.NetworkAclAssociationId, NetworkAclId: id,
			}))
		}
	}
}

func (m *moto) endpoint(e vpc.Endpoint) {
	ctx := m.t.Context()
	in := &ec2.CreateVpcEndpointInput{
		VpcEndpointType: types.VpcEndpointType(e.Type), VpcId: aws.String(m.ids[e.VPC]), ServiceName: aws.String(e.Service),
		PolicyDocument: aws.String(e.Policy), RouteTableIds: m.all(e.RouteTables), SubnetIds: m.all(e.Subnets), SecurityGroupIds: m.all(e.Groups),
	}
	if e.Type == "Interface" {
		in.PrivateDnsEnabled = aws.Bool(e.PrivateDNS)
	}
	out := made[*ec2.CreateVpcEndpointOutput](m.t)(m.ec2.CreateVpcEndpoint(ctx, in))
	m.ids[e.ID] = *out.VpcEndpoint.VpcEndpointId
	for i, name := range e.Interfaces {
		id := out.VpcEndpoint.NetworkInterfaceIds[i]
		m.ids[name] = id
		cards := made[*ec2.DescribeNetworkInterfacesOutput](m.t)(m.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{id}}))
		m.ids[linkAddr] = *cards.NetworkInterfaces[0].PrivateIpAddress
	}
}
