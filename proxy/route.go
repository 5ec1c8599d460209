package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// signingName is the service in the credential scope of DynamoDB and of DynamoDB Streams alike.
const signingName = "dynamodb"

// A call is one API request, told apart and on its way.
type call struct {
	by      *identity
	service endpoint.Service
	op      string // "GetItem"
	region  string
	host    string // endpoint name, without a port
	path    string // what is sent: "/" or the RPC v2 path
	body    []byte
	json    bool // the body is JSON, not CBOR
	gzip    bool // asked for by us, so the answer is unpacked here
	probe   bool // plain while others are in gzip, for what it tells of the link
}

// route finds where a request is to go. Service and operation come from X-Amz-Target or the RPC v2 CBOR path, the region
// from the credential scope or, where the endpoint URL has one as its path, from there.
func (s *Server) route(r *http.Request, scopeRegion string, body []byte) (call, error) {
	c := call{path: "/", body: body, json: true}
	prefix, rest := splitPath(r.URL.EscapedPath())
	target := r.Header.Get("X-Amz-Target")
	switch {
	case rest != "" && !isRPCPath(rest):
		return c, refusal(unknownOperation, "the path is not DynamoDB's; the endpoint URL is this proxy's address, with nothing or a region behind it")
	case rest == "" && target == "":
		return c, refusal(unknownOperation, "the request names no operation (X-Amz-Target); use an AWS client")
	case rest != "" && target != "":
		return c, refusal(unknownOperation, "the request names its operation twice, in X-Amz-Target and in the path")
	case rest != "":
		c.path, c.json = rest, false
		target = strings.Replace(strings.TrimPrefix(rest, "/service/"), "/operation/", ".", 1)
	}
	api, op, _ := strings.Cut(target, ".")
	name, version, _ := strings.Cut(api, "_")
	switch name {
	case "DynamoDB":
		c.service = endpoint.DynamoDB
	case "DynamoDBStreams":
		c.service = endpoint.Streams
	default:
		return c, refusal(unknownOperation, "only DynamoDB and DynamoDB Streams are served; set AWS_ENDPOINT_URL_DYNAMODB instead of AWS_ENDPOINT_URL")
	}
	if len(version) != 8 || strings.Trim(version, "0123456789") != "" || len(op) > 64 || !isWord(op) || strings.ContainsAny(op, "._-") {
		return c, refusal(unknownOperation, "the operation is not of the form DynamoDB_20120810.GetItem; use an AWS client")
	}
	c.op = op
	c.region = scopeRegion
	if prefix != "" {
		c.region = prefix
	}
	if err := s.mapRegion(&c); err != nil {
		return c, err
	}
	var err error
	if c.host, err = s.hostFor(c.service, c.region); err != nil {
		return c, refusal(accessDenied, err.Error())
	}
	return c, nil
}

// mapRegion settles the region: GUIs made for DynamoDB Local sign for "localhost" or "local", which means ours.
func (s *Server) mapRegion(c *call) error {
	switch c.region {
	case "":
		return refusal(validation, "the request is signed for no region; set AWS_REGION or pass --region")
	case "localhost", "local":
		if c.region = s.region; c.region == "" {
			return refusal(validation, "the region localhost stands for the one given with --region, and none was; restart ddbproxy with --region")
		}
	}
	if len(s.Regions) > 0 && !slices.Contains(s.Regions, c.region) {
		return refusal(accessDenied, "region "+oneLine(c.region, 40)+" is not served here, only "+strings.Join(s.Regions, ", ")+
			"; a VPC endpoint serves its own region: set AWS_REGION, or restart ddbproxy with --region")
	}
	return nil
}

// hostFor returns the endpoint's name: the one given with Endpoint where it fits, else one of the same kind.
func (s *Server) hostFor(service endpoint.Service, region string) (string, error) {
	if s.endpointErr != nil {
		return "", fmt.Errorf("--endpoint: %w", s.endpointErr)
	}
	if ep := s.endpoint; ep.Host != "" && ep.Service == service && ep.Region == region {
		return ep.Host, nil
	}
	return endpoint.Host(service, region, s.endpoint.FIPS, s.endpoint.DualStack)
}

// splitPath takes a path apart into the region of an endpoint URL such as http://localhost:8000/eu-west-1 and the RPC v2
// path, either of which may be empty. What is neither comes back as rest, for route to refuse.
func splitPath(path string) (region, rest string) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return "", ""
	}
	first, after, more := strings.Cut(path[1:], "/")
	if first == "service" || !isWord(first) {
		return "", path
	}
	if more {
		return first, "/" + after
	}
	return first, ""
}

// isRPCPath reports whether path has the form /service/NAME/operation/OP (Smithy RPC v2 CBOR), after a region or not.
func isRPCPath(path string) bool {
	_, rest := splitPath(path)
	after, ok := strings.CutPrefix(rest, "/service/")
	_, op, found := strings.Cut(after, "/operation/")
	return ok && found && !strings.Contains(op, "/")
}

// mayRepeat reports whether a call may be sent again although DynamoDB may have carried it out already: reads (PartiQL's
// too), and transactions whose ClientRequestToken lets DynamoDB recognise the second. Writes change what they return when repeated,
// and may overwrite what another client wrote in between.
func (c call) mayRepeat() bool {
	switch c.op {
	case "GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems", "GetResourcePolicy", "GetShardIterator", "GetRecords":
		return true
	case "ExecuteStatement":
		words := strings.Fields(c.field("Statement"))
		return len(words) > 0 && strings.EqualFold(words[0], "SELECT")
	case "TransactWriteItems", "ExecuteTransaction":
		token := c.field("ClientRequestToken")
		return token != "" && len(token) <= 36
	}
	return strings.HasPrefix(c.op, "Describe") || strings.HasPrefix(c.op, "List")
}

// field returns a text field at the top of a JSON body, else "".
func (c call) field(name string) string {
	var fields map[string]json.RawMessage // a map, because struct fields would match in any case
	var value string
	if !c.json || json.Unmarshal(c.body, &fields) != nil || json.Unmarshal(fields[name], &value) != nil {
		return ""
	}
	return value
}
