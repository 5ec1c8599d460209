package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/sso/types"
)

const getItem = `{"TableName":"t1","Key":{"pk":{"S":"item-body-is-secret"}}}`

// ask serves one request in memory.
func ask(s *Server, r *http.Request) *httptest.ResponseRecorder {
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.URL.Scheme, r.URL.Host = "", "" // as a server sees it
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// wantError checks a DynamoDB-shaped error: status, name, part of the message, and the headers that SDKs look at.
func wantError(t *testing.T, w *httptest.ResponseRecorder, status int, kind, sentence string) {
	t.Helper()
	var got struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	body := w.Body.Bytes()
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("answer %d %q is not JSON: %v", w.Code, body, err)
	}
	if w.Code != status || got.Type != kind || !strings.HasPrefix(got.Message, "ddbproxy: ") || !strings.Contains(got.Message, sentence) {
		t.Errorf("answer = %d %s %q, want %d %s with %q", w.Code, got.Type, got.Message, status, kind, sentence)
	}
	h := w.Header()
	if got, want := h.Get("X-Amz-Crc32"), fmt.Sprint(crc32.ChecksumIEEE(body)); got != want {
		t.Errorf("X-Amz-Crc32 = %s, want %s", got, want)
	}
	if got := h.Get("Content-Type"); got != "application/x-amz-json-1.0" {
		t.Errorf("Content-Type = %q", got)
	}
	if id := h.Get("X-Amzn-Requestid"); !strings.HasPrefix(id, "DDBPROXY") || len(id) != 34 {
		t.Errorf("X-Amzn-Requestid = %q, want DDBPROXY and 26 characters", id)
	}
	if _, err := http.ParseTime(h.Get("Date")); err != nil {
		t.Errorf("Date = %q: %v", h.Get("Date"), err)
	}
	if strings.Contains(got.Message, "Signature expired") {
		t.Error("the message makes JavaScript clients retry")
	}
}

// A refusalCase is a request that must not reach AWS, and what its sender is told.
type refusalCase struct {
	name     string
	server   func(*Server)
	request  func(t *testing.T) *http.Request
	status   int
	kind     string
	sentence string
}

func withHeader(name string, values ...string) func(t *testing.T) *http.Request {
	return func(t *testing.T) *http.Request {
		r := signed(t, "GetItem", getItem, profileKey, "eu-west-1")
		r.Header[name] = values
		return r
	}
}

func by(id, secret, token, region string) func(t *testing.T) *http.Request {
	return func(t *testing.T) *http.Request {
		return signed(t, "GetItem", getItem, aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, region)
	}
}

func inRegion(region string) func(t *testing.T) *http.Request {
	return by(profileKey.AccessKeyID, profileKey.SecretAccessKey, profileKey.SessionToken, region)
}

func at(url, target string) func(t *testing.T) *http.Request {
	return func(t *testing.T) *http.Request {
		r, err := http.NewRequest(http.MethodPost, "http://localhost:8000"+url, strings.NewReader(getItem))
		if err != nil {
			t.Fatal(err)
		}
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		sign(t, r, getItem, profileKey, "eu-west-1")
		return r
	}
}

type failingProvider struct{ err error }

func (p failingProvider) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{}, p.err
}

type apiError struct{ error }

func (apiError) ErrorCode() string { return "ExpiredTokenException" }

func provider(err error) func(*Server) {
	return func(s *Server) { s.Identities[0].Credentials = failingProvider{err} }
}

func refusalCases() []refusalCase {
	good := by(profileKey.AccessKeyID, profileKey.SecretAccessKey, profileKey.SessionToken, "eu-west-1")
	session := by("DDBPROXYSESSION00001", "sessionsecret", "", "eu-west-1")
	late := func(s *Server) { s.Now = func() time.Time { return time.Now().Add(7 * time.Minute) } }
	return []refusalCase{
		{"web page", nil, withHeader("Origin", "https://evil.example"), 403, accessDenied, "web pages are refused (Origin is present)"},
		{"web page with null origin", nil, withHeader("Origin", "null"), 403, accessDenied, "web pages are refused"},
		{"browser", nil, withHeader("Sec-Fetch-Site", "cross-site"), 403, accessDenied, "web pages are refused (Sec-Fetch-Site"},
		{"rebound name", nil, func(t *testing.T) *http.Request {
			r := good(t)
			r.Host = "rebind.evil.example:8000"
			return r
		}, 403, accessDenied, "Host header is not an address of this proxy"},
		{"name that begins with localhost", nil, func(t *testing.T) *http.Request {
			r := good(t)
			r.Host = "localhost.evil.example"
			return r
		}, 403, accessDenied, "Host header is not an address of this proxy"},
		{"method", nil, func(t *testing.T) *http.Request {
			r := good(t)
			r.Method = http.MethodPut
			return r
		}, 400, unknownOperation, "the method is not POST"},
		{"unsigned", nil, withHeader("Authorization"), 400, missingToken, "the request is not signed"},
		{"basic", nil, withHeader("Authorization", "Basic dXNlcjpwYXNz"), 400, incompleteSignature, "is not AWS4-HMAC-SHA256"},
		{"sigv4a", nil, withHeader("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=x"), 400, incompleteSignature, "SigV4a signatures are not accepted"},
		{"repeated Authorization", nil, func(t *testing.T) *http.Request {
			r := good(t)
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
			return r
		}, 400, incompleteSignature, "the header Authorization is repeated"},
		{"repeated target", nil, withHeader("X-Amz-Target", "DynamoDB_20120810.GetItem", "DynamoDB_20120810.PutItem"), 400, incompleteSignature, "the header X-Amz-Target is repeated"},
		{"presigned", nil, at("/?X-Amz-Signature=00", "DynamoDB_20120810.GetItem"), 400, incompleteSignature, "presigned URLs"},
		{"unsigned payload", nil, withHeader("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), 400, incompleteSignature, "leaves the body out"},
		{"streaming payload", nil, withHeader("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), 400, incompleteSignature, "leaves the body out"},
		{"hash of another body", nil, withHeader("X-Amz-Content-Sha256", strings.Repeat("0", 64)), 400, invalidSignature, "not the hash of the body"},
		{"no date", nil, withHeader("X-Amz-Date"), 400, incompleteSignature, "X-Amz-Date is not a time"},
		{"date of another day", nil, withHeader("X-Amz-Date", "20200101T000000Z"), 400, incompleteSignature, "on the day of the credential scope"},
		{"late", late, good, 400, invalidSignature, "more than 5 minutes apart; set the clock"},
		{"target not signed", nil, func(t *testing.T) *http.Request {
			r := at("/", "")(t)
			r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
			return r
		}, 400, incompleteSignature, "does not cover x-amz-target"},
		{"other access key", nil, by("AKIAOTHER", "x", "", "eu-west-1"), 400, unrecognizedClient, `access key AKIAOTHER is not the one of profile dev; run eval "$(ddbproxy env)"`},
		{"secret in the wrong place", nil, by(strings.Repeat("S3cret", 7), "x", "", "eu-west-1"), 400, unrecognizedClient, "access key S3cr… is not"},
		{"key of another session", nil, by("DDBPROXYSESSION00002", "x", "", "eu-west-1"), 400, unrecognizedClient, "belongs to another session"},
		{"wrong secret", nil, by(profileKey.AccessKeyID, "wrongsecret", profileKey.SessionToken, "eu-west-1"), 400, invalidSignature, "another secret key for AKIDEXAMPLE00000TEST"},
		{"wrong token", nil, by(profileKey.AccessKeyID, profileKey.SecretAccessKey, "OTHERTOKEN", "eu-west-1"), 400, unrecognizedClient, "session token is not the one"},
		{"no token", nil, by(profileKey.AccessKeyID, profileKey.SecretAccessKey, "", "eu-west-1"), 400, unrecognizedClient, "session token is not the one"},
		{"wrong session secret", nil, by("DDBPROXYSESSION00001", "wrongsecret", "", "eu-west-1"), 400, invalidSignature, "another secret key for DDBPROXYSESSION00001"},
		{"session key with a token", nil, by("DDBPROXYSESSION00001", "sessionsecret", "DUMMYTOKEN", "eu-west-1"), 400, unrecognizedClient, "unset AWS_SESSION_TOKEN"},
		{"no session key", func(s *Server) { s.Identities[0].Keys = []Key{{ID: "DDBPROXYSESSION00001"}} }, by("DDBPROXYSESSION00001", "", "", "eu-west-1"), 400, unrecognizedClient, "another session"},
		{"empty keys from the provider", func(s *Server) { s.Identities[0].Credentials = aws.AnonymousCredentials{} }, session, 400, credentialsUnavailable, "no AWS credentials from profile dev: "},
		{"changed body", nil, func(t *testing.T) *http.Request {
			r := good(t)
			r.Body = http.NoBody
			return r
		}, 400, invalidSignature, "the signature does not match"},
		{"no credentials", func(s *Server) { s.Identities = nil }, good, 400, credentialsUnavailable, "without AWS credentials and cannot sign; restart it with --profile, or set HTTPS_PROXY"},
		{"legacy SSO expired", provider(fmt.Errorf("refresh: %w", &ssocreds.InvalidTokenError{})), session, 400, credentialsExpired, "run aws sso login --profile dev"},
		{"SSO login ended elsewhere", provider(fmt.Errorf("refresh: %w", &types.UnauthorizedException{})), session, 400, credentialsExpired, "run aws sso login --profile dev"},
		{"sso-session expired", provider(errors.New("refresh cached SSO token failed, unable to refresh SSO token, x")), session, 400, credentialsExpired, "run aws sso login --profile dev"},
		{"SSO expired, default profile", func(s *Server) { provider(&ssocreds.InvalidTokenError{})(s); s.Identities[0].Profile = "" }, session, 400, credentialsExpired, "of the default profile has expired or is missing; run aws sso login"},
		{"role's source expired", provider(apiError{errors.New("sts says so")}), session, 400, credentialsExpired, "that profile dev is built on have expired"},
		{"provider fails, to a stranger", provider(errors.New("process printed its secret")), good, 400, credentialsUnavailable, "there are no AWS credentials from profile dev now; set them up (aws configure, aws sso login); ddbproxy's own terminal says why"},
		{"provider fails", provider(errors.New("process exited\nwith 1")), session, 400, credentialsUnavailable, "no AWS credentials from profile dev: process exited with 1"},
		{"region not served", nil, inRegion("us-east-1"), 400, accessDenied, "region us-east-1 is not served here, only eu-west-1"},
		{"empty region", nil, inRegion(""), 400, validation, "signed for no region; set AWS_REGION"},
		{"local without a default", func(s *Server) { s.Regions = nil }, inRegion("local"), 400, validation, "restart ddbproxy with --region"},
		{"unknown region", func(s *Server) { s.Regions = nil }, inRegion("xx-west-1"), 400, accessDenied, "no partition has a region of this name"},
		{"bad --endpoint", func(s *Server) { s.Endpoint = "evil.example" }, good, 400, accessDenied, "--endpoint: "},
		{"DAX", nil, at("/", "AmazonDAX_20170419.GetItem"), 400, unknownOperation, "only DynamoDB and DynamoDB Streams are served"},
		{"operation malformed", nil, at("/", "DynamoDB_20120810.Get Item"), 400, unknownOperation, "not of the form"},
		{"version malformed", nil, at("/", "DynamoDB_2012.GetItem"), 400, unknownOperation, "not of the form"},
		{"unknown path", nil, at("/eu-west-1/tables", "DynamoDB_20120810.GetItem"), 400, unknownOperation, "the path is not DynamoDB's"},
		{"path of a region not served", nil, at("/us-east-1/", "DynamoDB_20120810.GetItem"), 400, accessDenied, "region us-east-1 is not served here"},
		{"two operations", nil, at("/service/DynamoDB_20120810/operation/GetItem", "DynamoDB_20120810.PutItem"), 400, unknownOperation, "twice"},
		{"service that speaks JSON", nil, func(t *testing.T) *http.Request {
			r := good(t)
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/dynamodb/", "/kms/", 1))
			return r
		}, 400, accessDenied, "signed for kms; set AWS_ENDPOINT_URL_DYNAMODB"},
	}
}

func TestRefusalsNameTheRemedyAndStayHere(t *testing.T) {
	t.Parallel()
	for _, tt := range refusalCases() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAWS(t)
			s, log := newServer(t, f)
			if tt.server != nil {
				tt.server(s)
			}
			w := ask(s, tt.request(t))
			wantError(t, w, tt.status, tt.kind, tt.sentence)
			if got := f.requests(); len(got) != 0 || f.dialled() != 0 {
				t.Errorf("AWS was dialled %d times and received %d requests, want none", f.dialled(), len(got))
			}
			if id := w.Header().Get("X-Amzn-Requestid"); !strings.Contains(log.String(), "id="+id) {
				t.Errorf("the log does not name request %s: %s", id, log)
			}
		})
	}
}

func TestHostsThatAreOurs(t *testing.T) {
	t.Parallel()
	s := &Server{Hosts: []string{"192.0.2.7:8000", "ddb.internal"}}
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8000": true, "LOCALHOST:8000": true, "localhost.": true, "dynamodb.localhost:8000": true,
		"127.0.0.1:8000": true, "127.1.2.3": true, "[::1]:8000": true, "[::1]": true, "192.0.2.7:8000": true, "192.0.2.7": true, "ddb.internal:9": true,
		"": false, ":8000": false, "192.0.2.8:8000": false, "evil.example": false, "localhost.evil.example": false, "evillocalhost": false,
		"127.0.0.1.evil.example": false, "0.0.0.0:8000": false, "ddb.internal.evil.example": false, "169.254.169.254": false,
	} {
		if got := s.isOurs(host); got != want {
			t.Errorf("isOurs(%q) = %v, want %v", host, got, want)
		}
	}
}
