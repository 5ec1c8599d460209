package edge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// stsAnswer is what STS answers to a body that is signed for a service.
func stsAnswer(t *testing.T, key, service, body string) (status int, text string) {
	t.Helper()
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{CA: ca, Users: map[string]User{"AKIAEXAMPLE": {Secret: "secret", Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/dev"}},
		Policy: Policy{SourceVpce: "vpce-0123456789abcdef0"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() {
		s.Close()
		<-served
	}()
	r, err := http.NewRequest(http.MethodPost, "https://sts.eu-west-1.amazonaws.com/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	hash := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: key, SecretAccessKey: "secret"}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(hash[:]), service, "eu-west-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, l.Addr().String())
	}}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

func TestSTSTellsWhoCalls(t *testing.T) {
	const who = "Action=GetCallerIdentity&Version=2011-06-15"
	for _, tc := range []struct {
		name, key, service, body string
		status                   int
		want                     string
	}{
		{"a user, from anywhere", "AKIAEXAMPLE", "sts", who, 200, "<Arn>arn:aws:iam::123456789012:user/dev</Arn>"},
		{"a stranger", "AKIASTRANGER", "sts", who, 403, "<Code>InvalidClientTokenId</Code>"},
		{"signed for another service", "AKIAEXAMPLE", "dynamodb", who, 403, "<Code>SignatureDoesNotMatch</Code>"},
		{"another action", "AKIAEXAMPLE", "sts", "Action=AssumeRole", 400, "<Code>InvalidAction</Code>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, text := stsAnswer(t, tc.key, tc.service, tc.body)
			if status != tc.status || !strings.Contains(text, tc.want) {
				t.Errorf("%d %s, want %d and %s", status, text, tc.status, tc.want)
			}
		})
	}
}
