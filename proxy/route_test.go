package proxy

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
)

func TestClientsOfOtherServicesGetXML(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFakeAWS(t))
	auth := "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE00000TEST/20261124/eu-west-1/SERVICE/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64) + "\r\n"
	addr := listen(t, s)
	for name, raw := range map[string]string{
		"sts":          "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n" + strings.Replace(auth, "SERVICE", "sts", 1) + "\r\n",
		"unsigned sts": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n",
		"s3":           "GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Replace(auth, "SERVICE", "s3", 1) + "\r\n",
	} {
		resp, body := exchangeRaw(t, addr, []byte(raw))
		var got struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Code    string   `xml:"Error>Code"`
			Message string   `xml:"Error>Message"`
			ID      string   `xml:"RequestId"`
		}
		if err := xml.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 400 || resp.Header.Get("Content-Type") != "text/xml" {
			t.Errorf("%s: answer = %d %s, %v, want 400 XML", name, resp.StatusCode, body, err)
			continue
		}
		want := "AccessDenied"
		if name == "unsigned sts" {
			want = "MissingAuthenticationToken"
		} else if !strings.Contains(got.Message, "set AWS_ENDPOINT_URL_DYNAMODB") {
			t.Errorf("%s: message = %q", name, got.Message)
		}
		if got.Code != want || got.ID != resp.Header.Get("X-Amzn-Requestid") {
			t.Errorf("%s: code %s id %s, want %s and the id of the header", name, got.Code, got.ID, want)
		}
	}
}

func TestRPCv2CBORIsRoutedByPathAndAnsweredInKind(t *testing.T) {
	t.Parallel()
	const body = "\xa1\x69TableName\x62t1"
	request := func(region string) *http.Request {
		r, err := http.NewRequest(http.MethodPost, "http://localhost:8000/eu-west-1/service/DynamoDB_20120810/operation/GetItem", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		r.Header.Set("Content-Type", "application/cbor")
		sign(t, r, body, profileKey, region)
		return r
	}
	f := newFakeAWS(t)
	s, log := newServer(t, f)
	if w := ask(s, request("eu-west-1")); w.Code != http.StatusOK {
		t.Fatalf("answer = %d %q, want 200", w.Code, w.Body)
	}
	got := f.requests()[0]
	if got.uri != "/service/DynamoDB_20120810/operation/GetItem" || got.body != body || got.header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("AWS received %+v", got)
	}
	if !strings.Contains(log.String(), "op=GetItem") {
		t.Errorf("log = %s", log)
	}

	s.Dial = failingDial(hopFailure{"ssh", "x", true})
	s.pool.Load().close()
	w := ask(s, request("eu-west-1"))
	want := "\xa2\x79\x00\x06__type\x79\x00\x1a" + bastionUnreachable + "\x79\x00\x07message\x79\x00\x10ddbproxy: ssh: x"
	if w.Code != 400 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/cbor" || w.Header().Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("answer = %d %q %v, want %q", w.Code, w.Body, w.Header(), want)
	}
}

func TestPathSelectsTheRegion(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	s, _ := newServer(t, f)
	s.Regions = []string{"eu-west-1", "us-east-1"}
	w := ask(s, at("/us-east-1/", "DynamoDB_20120810.GetItem")(t))
	if w.Code != http.StatusOK || f.requests()[0].host != "dynamodb.us-east-1.amazonaws.com" || f.requests()[0].uri != "/" {
		t.Errorf("answer = %d %s, AWS received %+v", w.Code, w.Body, f.requests())
	}
}

func TestEndpointReplacesTheNameItFits(t *testing.T) {
	t.Parallel()
	const vpce = "vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com"
	for _, tt := range []struct{ endpoint, target, want string }{
		{"", "DynamoDB_20120810.GetItem", "dynamodb.eu-west-1.amazonaws.com"},
		{vpce, "DynamoDB_20120810.GetItem", vpce},
		{vpce, "DynamoDBStreams_20120810.ListStreams", "streams.dynamodb.eu-west-1.amazonaws.com"},
		{"dynamodb-fips.eu-west-1.amazonaws.com", "DynamoDB_20120810.GetItem", "dynamodb-fips.eu-west-1.amazonaws.com"},
		{"dynamodb-fips.us-east-1.amazonaws.com", "DynamoDB_20120810.GetItem", "dynamodb-fips.eu-west-1.amazonaws.com"},
	} {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		s.Endpoint = tt.endpoint
		w := ask(s, at("/", tt.target)(t))
		if w.Code != http.StatusOK || f.requests()[0].host != tt.want {
			t.Errorf("endpoint %q, %s: answer = %d %s, want %s to be asked", tt.endpoint, tt.target, w.Code, w.Body, tt.want)
		}
	}
}
