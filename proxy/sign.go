package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// forwarded reports whether a request header goes on to AWS. The list is short because what the caller did not sign,
// anything on this machine may have added.
func forwarded(name string) bool {
	switch name {
	case "Content-Type", "X-Amz-Target", "Accept", "Accept-Encoding", "User-Agent", "X-Amz-User-Agent", "Smithy-Protocol":
		return true
	}
	return strings.HasPrefix(name, "Amz-Sdk-")
}

// outgoing builds the request for AWS and signs it with the time as AWS has it. It is called for each attempt, so that a
// request which waited for the tunnel is not late.
func (s *Server) outgoing(ctx context.Context, in *http.Request, c call, bodyHash string, creds aws.Credentials) *http.Request {
	r := &http.Request{
		Method:        http.MethodPost,
		URL:           &url.URL{Scheme: "https", Host: c.host, Path: c.path},
		Host:          c.host,
		Header:        make(http.Header, 12),
		Body:          io.NopCloser(bytes.NewReader(c.body)),
		ContentLength: int64(len(c.body)),
	}
	r.Header["User-Agent"] = nil // net/http adds its own unless told not to
	for name, values := range in.Header {
		if forwarded(name) {
			r.Header[name] = values
		}
	}
	if c.gzip {
		r.Header["Accept-Encoding"] = []string{"gzip"}
	}
	c.by.sign(r, bodyHash, creds, c.region, s.clock.aws())
	return r.WithContext(ctx)
}

// sign signs r for DynamoDB with all its headers but User-Agent, which what lies between may change, as the SDKs do.
func (i *identity) sign(r *http.Request, bodyHash string, creds aws.Credentials, region string, now time.Time) {
	date := now.UTC().Format(amzDateFmt)
	r.Header["X-Amz-Date"] = []string{date}
	if creds.SessionToken != "" {
		r.Header["X-Amz-Security-Token"] = []string{creds.SessionToken}
	}
	c := claim{keyID: creds.AccessKeyID, day: date[:8], region: region, service: signingName, signed: []string{"content-length", "host"}}
	for name := range r.Header {
		if name != "User-Agent" {
			c.signed = append(c.signed, strings.ToLower(name))
		}
	}
	slices.Sort(c.signed)
	canonical, _ := c.canonical(r, bodyHash) // every header named is there
	c.signature = c.sign(canonical, date, i.signing.from(creds.SecretAccessKey, c.day, region))
	r.Header["Authorization"] = []string{c.String()}
}
