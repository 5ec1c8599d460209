package vpc

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ddbproxy/ddbproxy/internal/edge"
)

// maxBody is more than any call takes.
const maxBody = 256 << 10

const requestID = "00000000-0000-4000-8000-000000000000"

// failure is an error as AWS answers with it.
type failure struct {
	status        int // of HTTP
	code, message string
}

// call is one of the Query protocol.
type call struct {
	service, action string
	form            url.Values
}

// list is a parameter with several values: PREFIX.1, PREFIX.2 …
func (c call) list(prefix string) (values []string) {
	for i := 1; ; i++ {
		v, ok := c.form[fmt.Sprintf("%s.%d", prefix, i)]
		if !ok {
			return values
		}
		values = append(values, v[0])
	}
}

// ServeHTTP tells the services apart by their API's version.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return // the client has gone, or is none
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(w, "not a form", http.StatusBadRequest)
		return
	}
	c := call{map[string]string{"2016-11-15": "ec2", "2010-05-08": "iam"}[form.Get("Version")], form.Get("Action"), form}
	var answer any
	var failed *failure
	switch {
	// IAM is signed for us-east-1, but for its client's region where it has another
	// address, as here.
	case !edge.SignedWith(r, body, s.KeyID, s.Secret, c.service, s.Region):
		failed = &failure{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	case s.Broken != "":
		failed = &failure{http.StatusBadRequest, s.Broken, "it is broken"}
	case slices.Contains(s.Refused, c.service+":"+c.action):
		failed = c.refused()
	case c.service == "iam":
		answer, failed = s.iam(c)
	default:
		answer, failed = s.describe(c)
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	if failed != nil {
		w.WriteHeader(failed.status)
		answer = c.complaint(failed)
	}
	_ = xml.NewEncoder(w).Encode(answer)
}

// refused is the answer to a caller without the permission, as both services word it.
func (c call) refused() *failure {
	text := fmt.Sprintf("User: arn:aws:iam::123456789012:user/dev is not authorized to perform: %[1]s because no identity-based policy allows the %[1]s action", c.service+":"+c.action)
	if c.service == "iam" {
		return &failure{http.StatusForbidden, "AccessDenied", text}
	}
	return &failure{http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation. " + text + " Encoded authorization failure message: 4mW_zZ"}
}

func (c call) complaint(f *failure) any {
	type complaint struct {
		Code    string
		Message string
	}
	if c.service == "iam" {
		return struct {
			XMLName   xml.Name `xml:"https://iam.amazonaws.com/doc/2010-05-08/ ErrorResponse"`
			Error     complaint
			RequestID string `xml:"RequestId"`
		}{Error: complaint{f.code, f.message}, RequestID: requestID}
	}
	return struct {
		XMLName   xml.Name  `xml:"Response"`
		Error     complaint `xml:"Errors>Error"`
		RequestID string
	}{Error: complaint{f.code, f.message}, RequestID: requestID}
}

// describe answers EC2's calls.
func (s *Server) describe(c call) (any, *failure) {
	switch c.action {
	case "DescribeInstances":
		return list(c, s.Instances, "InstanceId", "InvalidInstanceID.NotFound", "reservationSet>item>instancesSet>item")
	case "DescribeVpcEndpoints":
		return list(c, s.Endpoints, "VpcEndpointId", "InvalidVpcEndpointId.NotFound", "vpcEndpointSet>item")
	case "DescribeRouteTables":
		return list(c, s.RouteTables, "RouteTableId", "InvalidRouteTableID.NotFound", "routeTableSet>item")
	case "DescribeSecurityGroups":
		return list(c, s.Groups, "GroupId", "InvalidGroup.NotFound", "securityGroupInfo>item")
	case "DescribeNetworkAcls":
		return list(c, s.ACLs, "NetworkAclId", "InvalidNetworkAclID.NotFound", "networkAclSet>item")
	case "DescribePrefixLists":
		return list(c, s.PrefixLists, "PrefixListId", "InvalidPrefixListId.NotFound", "prefixListSet>item")
	case "DescribeNetworkInterfaces":
		return list(c, s.Interfaces, "NetworkInterfaceId", "InvalidNetworkInterfaceID.NotFound", "networkInterfaceSet>item")
	}
	return nil, &failure{http.StatusBadRequest, "InvalidAction", "The action " + c.action + " is not valid for this web service."}
}

// listing is the answer of a Describe call; where the items stand in it is theirs.
type listing[T any] struct {
	action string
	path   []string
	items  []T
}

// MarshalXML implements xml.Marshaler.
func (l listing[T]) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	name := func(local string) xml.StartElement { return xml.StartElement{Name: xml.Name{Local: local}} }
	root := xml.StartElement{Name: xml.Name{Space: "http://ec2.amazonaws.com/doc/2016-11-15/", Local: l.action + "Response"}}
	open := []xml.StartElement{root}
	for _, step := range l.path[:len(l.path)-1] {
		open = append(open, name(step))
	}
	for _, s := range open {
		if err := e.EncodeToken(s); err != nil {
			return err
		}
	}
	for _, item := range l.items {
		if err := e.EncodeElement(item, name(l.path[len(l.path)-1])); err != nil {
			return err
		}
	}
	for _, s := range slices.Backward(open) {
		if err := e.EncodeToken(s.End()); err != nil {
			return err
		}
	}
	return nil
}

// list picks what a Describe call asks for, by ids and filters.
func list[T described](c call, all []T, ids, notFound, path string) (any, *failure) {
	var picked []T
	wanted := c.list(ids)
	for _, id := range wanted {
		if !slices.ContainsFunc(all, func(item T) bool { return item.id() == id }) {
			return nil, &failure{http.StatusBadRequest, notFound, "The ID '" + id + "' does not exist"}
		}
	}
	for _, item := range all {
		if len(wanted) > 0 && !slices.Contains(wanted, item.id()) {
			continue
		}
		fits := true
		for i := 1; ; i++ {
			name := c.form.Get(fmt.Sprintf("Filter.%d.Name", i))
			if name == "" {
				break
			}
			has, known := item.has(name)
			if !known {
				return nil, &failure{http.StatusBadRequest, "InvalidParameterValue", "The filter '" + name + "' is invalid"}
			}
			fits = fits && slices.ContainsFunc(c.list(fmt.Sprintf("Filter.%d.Value", i)), func(v string) bool { return slices.Contains(has, v) })
		}
		if fits {
			picked = append(picked, item)
		}
	}
	return listing[T]{c.action, strings.Split(path, ">"), picked}, nil
}

// Lists whose items have one field each.
type (
	GroupIDs      []string
	CIDRs         []string
	PrefixListIDs []string
	policyIDs     []string
)

// MarshalXML implements xml.Marshaler.
func (l GroupIDs) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return items(e, start, l, "item", "groupId")
}

// MarshalXML implements xml.Marshaler.
func (l CIDRs) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return items(e, start, l, "item", "cidrIp")
}

// MarshalXML implements xml.Marshaler.
func (l PrefixListIDs) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return items(e, start, l, "item", "prefixListId")
}

// MarshalXML implements xml.Marshaler.
func (l policyIDs) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return items(e, start, l, "member", "SourcePolicyId")
}

func items(e *xml.Encoder, start xml.StartElement, values []string, item, field string) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, v := range values {
		element := xml.StartElement{Name: xml.Name{Local: item}}
		if err := e.EncodeToken(element); err != nil {
			return err
		}
		if err := e.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: field}}); err != nil {
			return err
		}
		if err := e.EncodeToken(element.End()); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}
