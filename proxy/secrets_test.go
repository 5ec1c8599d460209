package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestNewKeyLooksLikeAnAccessKeyAndPrintsWithoutItsSecret(t *testing.T) {
	t.Parallel()
	k := NewKey()
	if len(k.ID) != 20 || !strings.HasPrefix(k.ID, "DDBPROXY") || len(k.Secret) != 40 || k == NewKey() {
		t.Errorf("NewKey = %q and %d characters", k.ID, len(k.Secret))
	}
	printed := fmt.Sprintf("%v %s %+v %#v", k, k, struct{ K Key }{k}, k)
	if strings.Contains(printed, k.Secret) {
		t.Errorf("the secret is printed: %s", printed)
	}
}

// No secret may be in what is logged or answered, whatever fails. Access key ids may.
func TestNoSecretInLogsOrAnswers(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	var seen bytes.Buffer
	var signatures []string
	collect := func(server func(*Server), request func(t *testing.T) *http.Request) {
		s, log := newServer(t, f)
		if server != nil {
			server(s)
		}
		r := request(t)
		if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "Signature="); ok {
			signatures = append(signatures, after)
		}
		w := ask(s, r)
		fmt.Fprintln(&seen, w.Header(), w.Body, log)
	}
	for _, tt := range refusalCases() {
		collect(tt.server, tt.request)
	}
	good := by("DDBPROXYSESSION00001", "sessionsecret", "", "eu-west-1")
	collect(nil, good)
	for _, tt := range dialFailures() {
		collect(func(s *Server) { s.Dial, s.Hold = failingDial(tt.err), time.Second }, good)
	}
	collect(nil, func(t *testing.T) *http.Request { return tooLarge(t) })
	if seen.Len() < 10_000 || len(signatures) < 40 {
		t.Fatalf("saw %d bytes and %d signatures; the cases did not run", seen.Len(), len(signatures))
	}
	secrets := append(signatures, profileKey.SecretAccessKey, profileKey.SessionToken, "sessionsecret", "wrongsecret", "OTHERTOKEN", "item-body-is-secret", "S3cretS3cret")
	for _, secret := range secrets {
		if strings.Contains(seen.String(), secret) {
			t.Errorf("%q is in the log or an answer", secret)
		}
	}
}
