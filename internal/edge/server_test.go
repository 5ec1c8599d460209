package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestSDKWorksThroughTheVPCEndpoint(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Policy: Policy{SourceVpce: vpce}})
	ctx := t.Context()
	c := d.sdk(t, d.vpc)
	if _, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("ddb_test"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	item := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "ü"}, "n": &types.AttributeValueMemberN{Value: "42"}}
	if _, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("ddb_test"), Item: item}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("ddb_test")})
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := got.Items[0]["n"].(*types.AttributeValueMemberN); !ok || n.Value != "42" || len(got.Items) != 1 {
		t.Errorf("items = %v, want the one that was put", got.Items)
	}
	var missing *types.ResourceNotFoundException
	if _, err := c.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("nowhere")}); !errors.As(err, &missing) {
		t.Errorf("scan of a missing table: %v, want ResourceNotFoundException", err)
	}
	seen := d.Seen()
	want := map[string]Count{"CreateTable": {Received: 1, Applied: 1}, "PutItem": {Received: 1, Applied: 1}, "Scan": {Received: 2, Applied: 1, Failed: 1}}
	if fmt.Sprint(seen.Ops) != fmt.Sprint(want) {
		t.Errorf("ops = %v, want %v", seen.Ops, want)
	}
	if seen.Conns != 1 || seen.OpenConns != 1 || seen.Handshakes != 1 {
		t.Errorf("%d connections, %d open, %d handshakes, want 1 each", seen.Conns, seen.OpenConns, seen.Handshakes)
	}
}

func TestSDKFindsAccountFIPSAndDualStackNames(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{})
	for name, option := range map[string]func(*dynamodb.Options){
		"123456789012.ddb.eu-west-1.amazonaws.com": func(o *dynamodb.Options) {
			o.Credentials = credentials.StaticCredentialsProvider{Value: aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, AccountID: "123456789012"}}
		},
		"dynamodb-fips.eu-west-1.amazonaws.com": func(o *dynamodb.Options) { o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled },
		"dynamodb.eu-west-1.api.aws":            func(o *dynamodb.Options) { o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled },
	} {
		if _, err := d.sdk(t, d.internet, option).ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := d.Seen().Requests[len(d.Seen().Requests)-1].Host; got != name {
			t.Errorf("Host = %s, want %s", got, name)
		}
	}
}

func TestCallsFromTheInternetAreDeniedInAWSWords(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Policy: Policy{SourceVpce: vpce}})
	for _, c := range []struct{ op, body, resource string }{
		{"ListTables", `{}`, "arn:aws:dynamodb:eu-west-1:123456789012:table/*"},
		{"GetItem", `{"TableName":"music"}`, "arn:aws:dynamodb:eu-west-1:123456789012:table/music"},
		{"BatchWriteItem", `{"RequestItems":{"b":[],"a":[]}}`, "arn:aws:dynamodb:eu-west-1:123456789012:table/a"},
		{"GetItem", `{"TableName":"arn:aws:dynamodb:eu-west-1:210987654321:table/x"}`, "arn:aws:dynamodb:eu-west-1:210987654321:table/x"},
		{"Scan", `not json`, "arn:aws:dynamodb:eu-west-1:123456789012:table/*"},
	} {
		resp, body := send(t, d.client(t, d.internet), signed(t, c.op, c.body, time.Now(), longTerm()))
		want := coralJSON("AccessDeniedException", "User: arn:aws:iam::123456789012:user/dev is not authorized to perform: dynamodb:"+c.op+
			" on resource: "+c.resource+" with an explicit deny in an identity-based policy")
		if resp.StatusCode != 400 || body != want {
			t.Errorf("%s %s\n got %d %s\nwant 400 %s", c.op, c.body, resp.StatusCode, body, want)
		}
		if got, want := resp.Header.Get("X-Amz-Crc32"), fmt.Sprint(crc32.ChecksumIEEE([]byte(body))); got != want {
			t.Errorf("x-amz-crc32 = %s, want %s", got, want)
		}
		if id := resp.Header.Get("x-amzn-RequestId"); !regexp.MustCompile(`^[0-9A-V]{52}$`).MatchString(id) {
			t.Errorf("x-amzn-RequestId = %q, want 52 characters 0-9A-V", id)
		}
	}
	if got, want := d.Seen().Ops["GetItem"], (Count{Received: 2, Denied: 2}); got != want {
		t.Errorf("GetItem counts %+v, want %+v", got, want)
	}
}

func TestDescribeEndpointsFromTheInternetIsNotDenied(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Policy: Policy{SourceVpce: "vpce-another"}})
	if _, body := send(t, d.client(t, d.internet), signed(t, "DescribeEndpoints", `{}`, time.Now(), longTerm())); strings.Contains(body, "AccessDenied") {
		t.Errorf("from the internet: %s", body)
	}
	_, body := send(t, d.client(t, d.vpc), signed(t, "DescribeEndpoints", `{}`, time.Now(), longTerm()))
	if !strings.Contains(body, "dynamodb:DescribeEndpoints on resource: * with an explicit deny") {
		t.Errorf("through another VPC endpoint: %s", body)
	}
}

func TestHealthNamesTheEndpoint(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Policy: Policy{SourceVpce: vpce}})
	r, err := http.NewRequest("GET", "https://"+host+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, body := send(t, d.client(t, d.internet), r)
	if resp.StatusCode != 200 || body != "healthy: "+host {
		t.Errorf("GET / = %d %q", resp.StatusCode, body)
	}
}

func TestCertificateIsForServedNamesOnly(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{})
	for name, want := range map[string]string{host: "", "dynamodb.us-east-1.amazonaws.com": "unrecognized name", "localhost": "unrecognized name"} {
		c, err := tls.Dial("tcp", d.internet.Addr().String(), &tls.Config{ServerName: name, RootCAs: d.CA.Pool()})
		if err == nil {
			_ = c.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestSeenKeepsTheLastRequestsWithoutSecrets(t *testing.T) {
	t.Parallel()
	users := map[string]User{keyID: {Secret: secret, SessionToken: token}}
	d := open(t, &Server{Keep: 2, Users: users})
	creds := longTerm()
	creds.SessionToken = token
	for _, op := range []string{"ListTables", "DescribeTable", "Scan"} {
		send(t, d.client(t, d.vpc), signed(t, op, `{"TableName":"secret-body"}`, time.Now(), creds))
	}
	requests := d.Seen().Requests
	if len(requests) != 2 || requests[0].Op != "DescribeTable" || requests[1].Op != "Scan" || requests[1].Vpce != vpce || requests[1].Host != host {
		t.Errorf("requests = %+v, want DescribeTable and Scan by the VPC endpoint", requests)
	}
	h := requests[1].Header
	if !regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=`+keyID+`/.*Signature=…$`).MatchString(h.Get("Authorization")) || h.Get("X-Amz-Security-Token") != "…" {
		t.Errorf("headers = %v, want the signature and the token left out", h)
	}
	if all := fmt.Sprint(requests); strings.Contains(all, token) {
		t.Errorf("the token is in %s", all)
	}
}

func TestResumedHandshakesAreCounted(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{})
	c := d.client(t, d.internet)
	for range 2 {
		send(t, c, signed(t, "ListTables", `{}`, time.Now(), longTerm()))
		c.CloseIdleConnections()
	}
	if seen := d.Seen(); seen.Handshakes != 2 || seen.Resumed != 1 || seen.Conns != 2 {
		t.Errorf("%d handshakes, %d resumed, %d connections, want 2, 1, 2", seen.Handshakes, seen.Resumed, seen.Conns)
	}
}

func TestDefaultNames(t *testing.T) {
	t.Parallel()
	s := &Server{Region: "ap-northeast-2", Users: map[string]User{"a": {Account: "222222222222"}, "b": {Account: "222222222222"}, "c": {}}}
	want := []string{
		"dynamodb.ap-northeast-2.amazonaws.com", "dynamodb-fips.ap-northeast-2.amazonaws.com", "dynamodb.ap-northeast-2.api.aws", "sts.ap-northeast-2.amazonaws.com",
		"222222222222.ddb.ap-northeast-2.amazonaws.com", "222222222222.ddb.ap-northeast-2.api.aws",
	}
	if got := s.names(); !slices.Equal(got, want) {
		t.Errorf("names = %v, want %v", got, want)
	}
}
