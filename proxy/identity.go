package proxy

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// An Identity is an AWS profile that requests are signed for, and the keys of the callers whose requests these are.
type Identity struct {
	// Credentials are what requests are signed with; the provider is asked for each request and should be a cache. Their
	// own access key is one that callers may sign with.
	Credentials aws.CredentialsProvider
	// Keys are those that callers may sign with besides; none admits only the profile's own.
	Keys []Key
	// Profile is the profile's name, for messages; empty means the default one.
	Profile string
}

// identity is one in use.
type identity struct {
	Identity
	derived   derived                // from callers' secret
	signing   derived                // from AWS's
	seen      atomic.Pointer[string] // the access key id that its provider gave last
	complaint atomic.Pointer[string] // the provider's last, as logged
}

func (s *Server) newIdentities() (all []*identity) {
	for _, who := range s.Identities {
		all = append(all, &identity{Identity: who})
	}
	return all
}

// byOwnKey is the identity that a key of ours stands for, nil for none, and that key's secret.
func (s *Server) byOwnKey(keyID string) (who *identity, secret string) {
	for _, who := range s.identities {
		for _, key := range who.Keys {
			if key.Secret != "" && equal(keyID, key.ID) {
				return who, key.Secret
			}
		}
	}
	return nil, ""
}

// byKey is the identity that an access key of AWS's belongs to, and its credentials. The one that had the key last is
// asked first, and mostly alone: a profile whose login has expired takes its time to say so, and must not hold up another.
func (s *Server) byKey(ctx context.Context, keyID string) (*identity, aws.Credentials, error) {
	var first, rest []*identity
	for _, who := range s.identities {
		if last := who.seen.Load(); last != nil && *last == keyID {
			first = append(first, who)
		} else {
			rest = append(rest, who)
		}
	}
	var failed error
	for _, who := range append(first, rest...) {
		creds, err := s.credentials(ctx, who)
		if err == nil && equal(keyID, creds.AccessKeyID) {
			return who, creds, nil
		}
		var a *answer
		if errors.As(err, &a) && a.kind == credentialsUnavailable { // nothing is proved yet, so what the provider says stays here
			err = refusal(a.kind, "there are no AWS credentials from "+who.name()+" now; set them up (aws configure, aws sso login); ddbproxy's own terminal says why")
		}
		if failed == nil {
			failed = err
		}
	}
	if failed != nil {
		return nil, aws.Credentials{}, failed
	}
	var names []string
	for _, who := range s.identities {
		names = append(names, who.name())
	}
	return nil, aws.Credentials{}, refusal(unrecognizedClient, "access key "+brief(keyID)+" is not the one of "+strings.Join(names, " or ")+"; "+getKey)
}
