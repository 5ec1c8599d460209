package proxy

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/sso/types"
)

// retrieveTimeout bounds the refreshing of credentials (SSO, STS, a credential process), which has no deadline of its own.
const retrieveTimeout = 15 * time.Second

// credentials returns those of an identity. The provider is expected to be a cache, so this is called for every request.
func (s *Server) credentials(ctx context.Context, who *identity) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, retrieveTimeout)
	defer cancel()
	creds, err := who.Credentials.Retrieve(ctx)
	if err == nil && !creds.HasKeys() {
		err = errors.New("the provider returned no keys")
	}
	if err != nil {
		err = who.Explain(err)
		text := err.Error()
		if last := who.complaint.Swap(&text); last == nil || *last != text { // once, not for each request
			s.Logger.Warn(text)
		}
		return aws.Credentials{}, err
	}
	if last := who.seen.Load(); last == nil || *last != creds.AccessKeyID {
		who.seen.Store(&creds.AccessKeyID)
	}
	if who.complaint.Load() != nil && who.complaint.Swap(nil) != nil { // the next trouble is told again
		s.Logger.Info("there are AWS credentials again from " + who.name())
	}
	return creds, nil
}

// Explain words an error of the provider of i's credentials: what is wrong, and where it is known, the command that mends
// it. It is what callers are answered.
func (i Identity) Explain(err error) error {
	if ssoExpired(err) {
		login := "aws sso login"
		if i.Profile != "" {
			login += " --profile " + i.Profile
		}
		return refusal(credentialsExpired, "the SSO session of "+i.name()+" has expired or is missing; run "+login)
	}
	var api interface{ ErrorCode() string } // smithy's APIError
	if errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "ExpiredToken") {
		return refusal(credentialsExpired, "the credentials that "+i.name()+" is built on have expired; renew them and try again")
	}
	return refusal(credentialsUnavailable, "no AWS credentials from "+i.name()+": "+oneLine(err.Error(), 300))
}

// ssoExpired reports whether only a login helps. Legacy SSO profiles have a type for it; those with an sso-session have
// only the text of the token provider, which speaks of its cached token. A login that was ended elsewhere looks good here,
// and the portal refuses it.
func ssoExpired(err error) bool {
	var invalid *ssocreds.InvalidTokenError
	var unauthorized *types.UnauthorizedException
	if errors.As(err, &invalid) || errors.As(err, &unauthorized) {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "cached SSO token") || strings.Contains(text, "refresh SSO token")
}

// name is for messages.
func (i Identity) name() string {
	if i.Profile == "" {
		return "the default profile"
	}
	return "profile " + i.Profile
}
