package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
)

var prodKey = aws.Credentials{AccessKeyID: "AKIDPROD0000000TEST", SecretAccessKey: "prodsecret", SessionToken: "PRODTOKEN"}

// withProd is a proxy of two profiles, dev and prod.
func withProd(t *testing.T) (*Server, *lines, *fakeAWS) {
	f := newFakeAWS(t)
	f.other = prodKey
	s, log := newServer(t, f)
	s.Identities = append(s.Identities, Identity{
		Credentials: credentials.StaticCredentialsProvider{Value: prodKey},
		Keys:        []Key{{ID: "DDBPROXYSESSION0PROD", Secret: "prodsessionsecret"}},
		Profile:     "prod",
	})
	return s, log, f
}

func TestTheCallersKeyDecidesTheProfile(t *testing.T) {
	t.Parallel()
	dev, prod := profileKey.AccessKeyID, prodKey.AccessKeyID
	expired := failingProvider{&ssocreds.InvalidTokenError{}}
	for _, tt := range []struct {
		name           string
		server         func(*Server)
		key            string
		secret, token  string
		signedBy       string // what AWS sees, "" where it sees nothing
		kind, sentence string
	}{
		{name: "dev's own key", key: dev, secret: profileKey.SecretAccessKey, token: profileKey.SessionToken, signedBy: dev},
		{name: "prod's own key", key: prod, secret: prodKey.SecretAccessKey, token: prodKey.SessionToken, signedBy: prod},
		{name: "dev's session key", key: "DDBPROXYSESSION00001", secret: "sessionsecret", signedBy: dev},
		{name: "prod's session key", key: "DDBPROXYSESSION0PROD", secret: "prodsessionsecret", signedBy: prod},
		{name: "prod's key with dev's secret", key: prod, secret: profileKey.SecretAccessKey, token: prodKey.SessionToken,
			kind: invalidSignature, sentence: "another secret key for " + prod},
		{name: "prod's key with dev's token", key: prod, secret: prodKey.SecretAccessKey, token: profileKey.SessionToken,
			kind: unrecognizedClient, sentence: "the session token is not the one that belongs to " + prod},
		{name: "prod's session key with dev's secret", key: "DDBPROXYSESSION0PROD", secret: "sessionsecret",
			kind: invalidSignature, sentence: "another secret key for DDBPROXYSESSION0PROD"},
		{name: "a session key of nobody", key: "DDBPROXYSESSION00009", secret: "sessionsecret",
			kind: unrecognizedClient, sentence: "another session"},
		{name: "a zero session key", server: func(s *Server) { s.Identities[1].Keys = []Key{{ID: "DDBPROXYSESSION0PROD"}} }, key: "DDBPROXYSESSION0PROD",
			kind: unrecognizedClient, sentence: "another session"},
		{name: "a key of neither", key: "AKIAOTHER", secret: "x",
			kind: unrecognizedClient, sentence: "access key AKIAOTHER is not the one of profile dev or profile prod"},
		{name: "dev expired, prod calls", server: func(s *Server) { s.Identities[0].Credentials = expired }, key: prod, secret: prodKey.SecretAccessKey, token: prodKey.SessionToken, signedBy: prod},
		{name: "prod expired, dev calls", server: func(s *Server) { s.Identities[1].Credentials = expired }, key: dev, secret: profileKey.SecretAccessKey, token: profileKey.SessionToken, signedBy: dev},
		{name: "prod expired, prod calls", server: func(s *Server) { s.Identities[1].Credentials = expired }, key: prod, secret: prodKey.SecretAccessKey, token: prodKey.SessionToken,
			kind: credentialsExpired, sentence: "aws sso login --profile prod"},
		{name: "prod expired, its session key calls", server: func(s *Server) { s.Identities[1].Credentials = expired }, key: "DDBPROXYSESSION0PROD", secret: "prodsessionsecret",
			kind: credentialsExpired, sentence: "aws sso login --profile prod"},
		{name: "prod's provider fails, to a stranger", server: func(s *Server) { s.Identities[1].Credentials = failingProvider{errors.New("it printed its secret")} }, key: prod,
			kind: credentialsUnavailable, sentence: "there are no AWS credentials from profile prod now"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _, f := withProd(t)
			if tt.server != nil {
				tt.server(s)
			}
			w := ask(s, by(tt.key, tt.secret, tt.token, "eu-west-1")(t))
			got := f.requests()
			if tt.signedBy == "" {
				wantError(t, w, http.StatusBadRequest, tt.kind, tt.sentence)
				if len(got) > 0 {
					t.Errorf("AWS received %d requests, want none", len(got))
				}
				return
			}
			if w.Code != http.StatusOK || len(got) != 1 {
				t.Fatalf("answer = %d %s, and AWS received %d requests", w.Code, w.Body, len(got))
			}
			if auth := got[0].header.Get("Authorization"); !strings.Contains(auth, "Credential="+tt.signedBy+"/") {
				t.Errorf("AWS received %q, want the key %s", auth, tt.signedBy)
			}
		})
	}
}

// countedProvider fails, and counts how often it was asked.
type countedProvider struct{ asked atomic.Int32 }

func (p *countedProvider) Retrieve(context.Context) (aws.Credentials, error) {
	p.asked.Add(1)
	return aws.Credentials{}, errors.New("no network")
}

func TestAProfileThatFailsIsNotAskedForAnothersCallers(t *testing.T) {
	t.Parallel()
	s, _, _ := withProd(t)
	broken := &countedProvider{}
	s.Identities[0].Credentials = broken
	for range 3 {
		if w := ask(s, by(prodKey.AccessKeyID, prodKey.SecretAccessKey, prodKey.SessionToken, "eu-west-1")(t)); w.Code != http.StatusOK {
			t.Fatalf("answer = %d %s, want 200", w.Code, w.Body)
		}
	}
	if n := broken.asked.Load(); n != 1 {
		t.Errorf("the failing provider was asked %d times, want once, before it was known whose key it is", n)
	}
}
