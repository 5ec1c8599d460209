package edge

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

// TestVerifierTakesWhatRealClientsSigned replays recorded requests: these signatures
// were not made by the signer that the verifier uses.
func TestVerifierTakesWhatRealClientsSigned(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/clients/*.http")
	if err != nil || len(files) != 9 {
		t.Fatalf("%d recordings, %v, want 9", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &Server{Users: map[string]User{"AKIDEXAMPLE00000TEST": {Secret: "dummysecret", SessionToken: "DUMMYTOKEN"}}}
			verify := func(change func(r *http.Request, body []byte) []byte) *apiError {
				r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Fatal(err)
				}
				r.TLS = &tls.ConnectionState{ServerName: r.Host}
				at, err := time.Parse(amzTime, r.Header.Get("X-Amz-Date"))
				if err != nil {
					t.Fatal(err)
				}
				_, refusal := s.authenticate(at, r, change(r, body))
				return refusal
			}
			if refusal := verify(func(_ *http.Request, body []byte) []byte { return body }); refusal != nil {
				t.Errorf("as recorded: %v", refusal)
			}
			if refusal := verify(func(_ *http.Request, body []byte) []byte { return append(body, ' ') }); refusal == nil || refusal.msg != mismatch {
				t.Errorf("with another body: %v", refusal)
			}
			if refusal := verify(func(r *http.Request, body []byte) []byte {
				r.Header.Set("X-Amz-Target", "DynamoDB_20120810.DeleteTable")
				return body
			}); refusal == nil || refusal.msg != mismatch {
				t.Errorf("with another operation: %v", refusal)
			}
		})
	}
}

func TestVerifierRefusesInAWSWords(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	d := open(t, &Server{Clock: func() time.Time { return noon }, Users: map[string]User{
		keyID:  {Secret: secret},
		"TEMP": {Secret: secret, SessionToken: token},
		"OLD":  {Secret: secret, SessionToken: token, Expires: noon},
	}})
	good := func() *http.Request { return signed(t, "ListTables", `{}`, noon, longTerm()) }
	with := func(change func(*http.Request)) *http.Request {
		r := good()
		change(r)
		return r
	}
	// again signs after a change, so that only the change is wrong.
	again := func(change func(*http.Request)) *http.Request {
		r := with(change)
		resign(t, r, `{}`, noon, longTerm())
		return r
	}
	as := func(creds aws.Credentials) *http.Request { return signed(t, "ListTables", `{}`, noon, creds) }
	replace := func(old, replacement string) *http.Request {
		return with(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, replacement, 1))
		})
	}
	const invalid, form, unknown = "InvalidSignatureException", "IncompleteSignatureException", "UnrecognizedClientException"
	const unknownMsg = "The security token included in the request is invalid."
	for _, c := range []struct {
		name     string
		r        *http.Request
		typ, msg string // msg "" accepts any
	}{
		{"good", good(), "", ""},
		{"not signed", with(func(r *http.Request) { r.Header.Del("Authorization") }), "MissingAuthenticationTokenException", "Request is missing Authentication Token"},
		{"other scheme", replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), form, ""},
		{"two Authorization headers", with(func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }), form, ""},
		{"no signature", replace("Signature=", "Sign="), form, ""},
		{"a parameter without value", replace("SignedHeaders=", "SignedHeaders, "), form, ""},
		{"short scope", replace("/aws4_request", ""), form, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIAEXAMPLE/20261124/eu-west-1/dynamodb'"},
		{"other terminator", replace("aws4_request", "aws5_request"), invalid, "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. "},
		{"other region", replace("eu-west-1", "us-east-1"), invalid, "Credential should be scoped to a valid region, not 'us-east-1'. "},
		{"other service", replace("/dynamodb/", "/s3/"), invalid, "Credential should be scoped to correct service: 'dynamodb'. "},
		{"other day in the scope", replace("/20261124/", "/20261123/"), invalid, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261123' != '20261124', from '20261124T120000Z'."},
		{"no date", with(func(r *http.Request) { r.Header.Del("X-Amz-Date") }), form, ""},
		{"date of another form", with(func(r *http.Request) { r.Header.Set("X-Amz-Date", "2026-11-24T12:00:00Z") }), form, "Date must be in ISO-8601 'basic format'. Got '2026-11-24T12:00:00Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"unknown key", as(aws.Credentials{AccessKeyID: "NOBODY", SecretAccessKey: secret}), unknown, unknownMsg},
		{"wrong secret", as(aws.Credentials{AccessKeyID: keyID, SecretAccessKey: "guess"}), invalid, mismatch},
		{"temporary key", as(aws.Credentials{AccessKeyID: "TEMP", SecretAccessKey: secret, SessionToken: token}), "", ""},
		{"temporary key without token", as(aws.Credentials{AccessKeyID: "TEMP", SecretAccessKey: secret}), unknown, unknownMsg},
		{"temporary key with another token", as(aws.Credentials{AccessKeyID: "TEMP", SecretAccessKey: secret, SessionToken: "stale"}), unknown, unknownMsg},
		{"long-term key with a token", as(aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: token}), unknown, unknownMsg},
		{"expired key", as(aws.Credentials{AccessKeyID: "OLD", SecretAccessKey: secret, SessionToken: token}), "ExpiredTokenException", "The security token included in the request is expired"},
		{"signed for localhost", again(func(r *http.Request) { r.Host = "localhost:8000" }), invalid, mismatch},
		{"Host of another served name", again(func(r *http.Request) { r.Host = "dynamodb.eu-west-1.api.aws" }), invalid, mismatch},
		{"Host changed after signing", with(func(r *http.Request) { r.Host = "localhost:8000" }), invalid, mismatch},
		{"body changed", with(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("[]")) }), invalid, mismatch},
		{"body not signed", again(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }), invalid, mismatch},
		{"signed header changed", with(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), invalid, mismatch},
		{"signed header repeated", with(func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") }), invalid, mismatch},
		{"unsigned header added", with(func(r *http.Request) { r.Header.Set("Via", "1.1 somebody") }), "", ""},
		{"operation not signed", replace(";x-amz-target", ""), invalid, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization, and given once."},
		{"two operations", with(func(r *http.Request) { r.Header.Add("X-Amz-Target", "DynamoDB_20120810.DeleteTable") }), invalid, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization, and given once."},
		{"header named as signed that was not", replace("SignedHeaders=", "SignedHeaders=user-agent;"), invalid, mismatch},
		{"host not signed", replace("host;", ""), invalid, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"query added", with(func(r *http.Request) { r.URL.RawQuery = "x=1" }), invalid, mismatch},
		{"path changed", with(func(r *http.Request) { r.URL.Path = "/x" }), invalid, mismatch},
		{"signature of the right length", replace("Signature=", "Signature=0000"), invalid, mismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := send(t, d.client(t, d.internet), c.r)
			switch {
			case c.typ == "" && (resp.StatusCode != 200 || body != `{"TableNames":[]}`):
				t.Errorf("answer %d %s, want the empty list of tables", resp.StatusCode, body)
			case c.typ != "" && (resp.StatusCode != 400 || !strings.HasPrefix(body, `{"__type":"com.amazon.coral.service#`+c.typ+`"`)):
				t.Errorf("answer %d %s, want 400 %s", resp.StatusCode, body, c.typ)
			case c.msg != "" && body != coralJSON(c.typ, c.msg):
				t.Errorf("answer\n got %s\nwant %s", body, coralJSON(c.typ, c.msg))
			}
			if _, given, _ := strings.Cut(c.r.Header.Get("Authorization"), "Signature="); given != "" && strings.Contains(body, given) {
				t.Errorf("the signature is in the answer %s", body)
			}
		})
	}
}

func TestSignatureIsGoodForFiveMinutesEitherWay(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	d := open(t, &Server{Clock: func() time.Time { return noon }})
	for offset, want := range map[time.Duration]string{
		0: "", -5 * time.Minute: "", 5 * time.Minute: "",
		-301 * time.Second: "Signature expired: 20261124T115459Z is now earlier than 20261124T115500Z (20261124T120000Z - 5 min.)",
		301 * time.Second:  "Signature not yet current: 20261124T120501Z is still later than 20261124T120500Z (20261124T120000Z + 5 min.)",
	} {
		resp, body := send(t, d.client(t, d.internet), signed(t, "ListTables", `{}`, noon.Add(offset), longTerm()))
		if want == "" && resp.StatusCode != 200 || want != "" && body != coralJSON("InvalidSignatureException", want) {
			t.Errorf("%v off: %d %s, want %q", offset, resp.StatusCode, body, want)
		}
		// SDKs correct their clock by it.
		if got := resp.Header.Get("Date"); got != "Tue, 24 Nov 2026 12:00:00 GMT" {
			t.Errorf("Date = %s, want the Clock's", got)
		}
	}
}

// FuzzAuthorization: no header makes the parser panic; one that it takes apart is the
// same parts when written in the usual form; and none authenticates by luck.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIA/20261124/eu-west-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20261124T120000Z")
	f.Add("AWS4-HMAC-SHA256 Signature=,Credential=////", "")
	f.Add("Basic eDp5", "20261124T120000Z")
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s := &Server{Users: map[string]User{"AKIA": {Secret: secret}}}
	f.Fuzz(func(t *testing.T, header, date string) {
		r := &http.Request{Method: "POST", URL: &url.URL{Path: "/"}, Host: host, TLS: &tls.ConnectionState{ServerName: host}, Header: http.Header{"Authorization": {header}, "X-Amz-Date": {date}}}
		if _, refusal := s.authenticate(now, r, nil); refusal == nil {
			t.Fatalf("%q authenticates", header)
		}
		a, refusal := parseAuthorization(r.Header)
		if refusal != nil {
			return
		}
		r.Header.Set("Authorization", algorithm+" Credential="+strings.Join([]string{a.keyID, a.date, a.region, a.service, "aws4_request"}, "/")+
			", SignedHeaders="+strings.Join(a.signedHeaders, ";")+", Signature="+a.signature)
		b, refusal := parseAuthorization(r.Header)
		if refusal != nil || strings.Join(a.signedHeaders, ";") != strings.Join(b.signedHeaders, ";") || a.signature != b.signature || a.keyID != b.keyID {
			t.Errorf("%q: %+v became %+v, %v", header, a, b, refusal)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	at := time.Now()
	r := signed(b, "ListTables", `{}`, at, longTerm())
	a, refusal := parseAuthorization(r.Header)
	if refusal != nil {
		b.Fatal(refusal)
	}
	r.ContentLength = 2
	for b.Loop() {
		if !matches(r, []byte(`{}`), a, secret, at) {
			b.Fatal("refused")
		}
	}
}
