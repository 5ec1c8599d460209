package proxy

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestParseAuthorization(t *testing.T) {
	t.Parallel()
	sig := strings.Repeat("0a", 32)
	const cred = "Credential=AKID/20261124/eu-west-1/dynamodb/aws4_request"
	good := "AWS4-HMAC-SHA256 " + cred + ", SignedHeaders=host;x-amz-date, Signature=" + sig
	got, err := parseAuthorization(good)
	if err != nil || got.keyID != "AKID" || got.day != "20261124" || got.region != "eu-west-1" || got.service != "dynamodb" ||
		strings.Join(got.signed, " ") != "host x-amz-date" || got.signature != sig {
		t.Errorf("parseAuthorization = %+v, %v", got, err)
	}
	if _, err := parseAuthorization("AWS4-HMAC-SHA256 Signature=" + sig + ",SignedHeaders=host;x-amz-date," + cred); err != nil {
		t.Errorf("other order, no spaces: %v", err)
	}
	for name, header := range map[string]string{
		"empty":                    "",
		"algorithm only":           "AWS4-HMAC-SHA256",
		"other algorithm":          strings.Replace(good, "SHA256", "SHA512", 1),
		"lower-case algorithm":     strings.Replace(good, "AWS4", "aws4", 1),
		"no credential":            strings.Replace(good, "Credential", "Credentials", 1),
		"short scope":              strings.Replace(good, "/eu-west-1", "", 1),
		"long scope":               strings.Replace(good, "/eu-west-1", "/eu-west-1/x", 1),
		"other terminator":         strings.Replace(good, "aws4_request", "aws5_request", 1),
		"no key id":                strings.Replace(good, "=AKID/", "=/", 1),
		"key id with a line feed":  strings.Replace(good, "AKID", "AK\nID", 1),
		"key id with a quote":      strings.Replace(good, "AKID", `AK"ID`, 1),
		"repeated part":            good + ", Signature=" + sig,
		"extra part":               good + ", Extra=1",
		"part without a value":     good + ", Extra",
		"trailing comma":           good + ",",
		"no signature":             strings.TrimSuffix(good, sig),
		"short signature":          strings.TrimSuffix(good, "0a"),
		"long signature":           good + "0a",
		"upper-case signature":     strings.Replace(good, "0a0a", "0A0A", 1),
		"signature not hex":        strings.Replace(good, "0a0a", "0g0g", 1),
		"no headers":               strings.Replace(good, "host;x-amz-date", "", 1),
		"unsorted headers":         strings.Replace(good, "host;x-amz-date", "x-amz-date;host", 1),
		"repeated header":          strings.Replace(good, "host;", "host;host;", 1),
		"empty header":             strings.Replace(good, "host;", ";host;", 1),
		"upper-case header":        strings.Replace(good, "host;", "Host;", 1),
		"SigV4a":                   strings.Replace(good, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1),
		"two Authorization values": good + ", " + good,
	} {
		if got, err := parseAuthorization(header); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}

// The signing key of AWS's worked example of SigV4 (IAM ListUsers, 2015-08-30).
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func TestKeyDerivationMatchesAWSsExample(t *testing.T) {
	t.Parallel()
	key := signingKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")
	if got, want := hex.EncodeToString(key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"; got != want {
		t.Errorf("signing key = %s, want %s", got, want)
	}
}

func TestDerivedKeyFollowsSecretDayAndRegion(t *testing.T) {
	t.Parallel()
	var d derived
	for _, tt := range []struct{ secret, day, region string }{
		{"a", "20261124", "eu-west-1"}, {"a", "20261124", "eu-west-1"}, {"b", "20261124", "eu-west-1"},
		{"b", "20261125", "eu-west-1"}, {"b", "20261125", "us-east-1"}, {"a", "20261124", "eu-west-1"},
	} {
		got := d.from(tt.secret, tt.day, tt.region)
		if want := signingKey(tt.secret, tt.day, tt.region, "dynamodb"); !bytes.Equal(got, want) {
			t.Errorf("key of %v = %x, want %x", tt, got, want)
		}
	}
}

// A client that signs User-Agent, as Java SDK v1 does; the SDK's signer could never verify it.
func TestClientThatSignsUserAgentVerifies(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest(http.MethodPost, "http://localhost:8000/", strings.NewReader(getItem))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	r.Header.Set("User-Agent", "aws-sdk-java/1.12   with  spaces ")
	r.Header.Set("X-Amz-Date", now.Format(amzDateFmt))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
	sum := sha256.Sum256([]byte(getItem))
	canonical := "POST\n/\n\nhost:localhost:8000\nuser-agent:aws-sdk-java/1.12 with spaces\nx-amz-date:" + now.Format(amzDateFmt) +
		"\nx-amz-target:DynamoDB_20120810.GetItem\n\nhost;user-agent;x-amz-date;x-amz-target\n" + hex.EncodeToString(sum[:])
	hash := sha256.Sum256([]byte(canonical))
	scope := now.Format("20060102") + "/eu-west-1/dynamodb/aws4_request"
	key := []byte("AWS4sessionsecret")
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+now.Format(amzDateFmt)+"\n"+scope+"\n"+hex.EncodeToString(hash[:])) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=DDBPROXYSESSION00001/"+scope+
		", SignedHeaders=host;user-agent;x-amz-date;x-amz-target, Signature="+hex.EncodeToString(key))
	s, _ := newServer(t, newFakeAWS(t))
	if w := ask(s, r); w.Code != http.StatusOK {
		t.Errorf("answer = %d %s, want 200", w.Code, w.Body)
	}
}

// Whatever bytes arrive: nothing panics, and what is accepted is what the SDK's signer would have signed.
func FuzzAcceptedOnlyIfSigningAgainAgrees(f *testing.F) {
	for _, c := range captures(f, "*") {
		f.Add(c.raw)
	}
	now := time.Date(2026, 11, 24, 0, 10, 0, 0, time.UTC)
	s, _ := newServer(f, newFakeAWS(f))
	s.Now = func() time.Time { return now }
	s.init()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !accepts(s, raw) {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		again, err := resign(r, body, profileKey)
		if got := r.Header.Get("Authorization"); err != nil || again != got {
			t.Fatalf("accepted %q, but signing again gives %q, %v", got, again, err)
		}
	})
}

// What the SDK's signer signs, over any path, header value and body, matches; with one bit of the body turned it does not.
func FuzzWhatTheSDKSignsMatches(f *testing.F) {
	f.Add("/", "plain", []byte(getItem), "eu-west-1")
	f.Add("/eu-west-1/", "  many   spaces  ", []byte{}, "us-gov-west-1")
	f.Add("/a b%2Fc/é/~", "tab\tinside", []byte{0}, "")
	f.Fuzz(func(t *testing.T, path, value string, body []byte, region string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(value, "\r\n\x00") || strings.ContainsAny(region, "/, ") {
			return
		}
		u, err := url.Parse("http://localhost:8000" + path)
		if err != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
			return
		}
		r, err := http.NewRequest(http.MethodPost, u.String(), nil)
		if err != nil || r.URL.Path == "" {
			return
		}
		r.Header.Set("X-Amz-Target", strings.TrimSpace(value)) // as net/http delivers it
		sign(t, r, string(body), profileKey, region)
		c, err := parseAuthorization(r.Header.Get("Authorization"))
		if err != nil {
			return // a region that no header can carry
		}
		r.Host = r.URL.Host
		sum := sha256.Sum256(body)
		key := signingKey(profileKey.SecretAccessKey, c.day, c.region, c.service)
		if !c.matches(r, hex.EncodeToString(sum[:]), key) {
			t.Fatalf("path %q, value %q, region %q: what the SDK signed does not match", path, value, region)
		}
		sum[0] ^= 1
		if c.matches(r, hex.EncodeToString(sum[:]), key) {
			t.Fatal("matches with another body")
		}
	})
}

func FuzzParseAuthorization(f *testing.F) {
	for _, c := range signedCaptures(f) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.raw)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Header.Get("Authorization"))
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, err := parseAuthorization(header)
		if err != nil {
			return
		}
		// What was read, written in the usual form, reads the same.
		usual := algorithm + " Credential=" + strings.Join([]string{c.keyID, c.day, c.region, c.service, "aws4_request"}, "/") +
			", SignedHeaders=" + strings.Join(c.signed, ";") + ", Signature=" + c.signature
		again, err := parseAuthorization(usual)
		if err != nil || again.keyID != c.keyID || again.signature != c.signature || strings.Join(again.signed, ";") != strings.Join(c.signed, ";") {
			t.Fatalf("read %+v from %q, but %+v, %v from %q", c, header, again, err, usual)
		}
	})
}
