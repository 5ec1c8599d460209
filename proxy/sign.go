package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A signer signs outgoing requests with the SDK's own signer. That one caches derived keys by access key id and day and
// not by secret, so it is made anew when a secret changes under the same id.
type signer struct {
	mu     sync.Mutex
	v4     *v4.Signer
	keyID  string
	secret string
}

func (s *signer) with(creds aws.Credentials) *v4.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.v4 == nil || s.keyID != creds.AccessKeyID || s.secret != creds.SecretAccessKey {
		s.v4, s.keyID, s.secret = v4.NewSigner(), creds.AccessKeyID, creds.SecretAccessKey
	}
	return s.v4
}

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
func (s *Server) outgoing(ctx context.Context, in *http.Request, c call, bodyHash string, creds aws.Credentials) (*http.Request, error) {
	// A bytes.Reader gives the request GetBody, with which net/http itself moves to another connection when it finds
	// that the one it took from the pool was dead before anything was written.
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.host+c.path, bytes.NewReader(c.body))
	if err != nil {
		return nil, fmt.Errorf("build request for %s: %w", c.host, err)
	}
	r.Header.Set("User-Agent", "") // net/http adds its own unless told not to
	for name, values := range in.Header {
		if forwarded(name) {
			r.Header[name] = values
		}
	}
	if c.gzip {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	if err := c.by.signer.with(creds).SignHTTP(ctx, creds, r, bodyHash, signingName, c.region, s.clock.aws()); err != nil {
		return nil, fmt.Errorf("sign request for %s: %w", c.host, err)
	}
	return r, nil
}
