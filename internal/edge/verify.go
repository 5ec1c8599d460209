package edge

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxSkew is how far X-Amz-Date may be from the Clock, either way. The error texts of
// the service name five minutes.
const maxSkew = 5 * time.Minute

// amzTime is the layout of X-Amz-Date.
const amzTime = "20060102T150405Z"

// User is one access key and whose it is.
type User struct {
	Secret string
	// SessionToken must accompany a temporary key; empty for a long-term one.
	SessionToken string
	// Expires ends a temporary key; zero means never.
	Expires time.Time
	// Account is the 12-digit account id, ARN the principal, as error texts name it.
	Account, ARN string
}

// authenticate finds the user who signed r, or says in AWS's words why there is none.
// The order is: form, scope, who, when, and the signature last.
func (s *Server) authenticate(now time.Time, r *http.Request, body []byte) (User, *apiError) {
	auth, refusal := parseAuthorization(r.Header)
	if refusal != nil {
		return User{}, refusal
	}
	if refusal := s.checkScope(auth, r); refusal != nil {
		return User{}, refusal
	}
	user, ok := s.Users[auth.keyID]
	if !ok || !equal(r.Header.Get("X-Amz-Security-Token"), user.SessionToken) {
		return User{}, coral("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if !user.Expires.IsZero() && !now.Before(user.Expires) {
		return User{}, coral("ExpiredTokenException", "The security token included in the request is expired")
	}
	signed, refusal := checkDate(now, auth, r.Header.Get("X-Amz-Date"))
	if refusal != nil {
		return User{}, refusal
	}
	// The Host is signed, so a request made for localhost has a right signature of the
	// wrong thing; AWS, which signs the name it answers to, sees a wrong signature.
	if r.Host != r.TLS.ServerName || !matches(r, body, auth, user.Secret, signed) {
		return User{}, coral("InvalidSignatureException",
			"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return user, nil
}

// SignedWith reports whether r is signed for a service and region with an access
// key. It is for other services of AWS than DynamoDB, and looks at no clock.
func SignedWith(r *http.Request, body []byte, keyID, secret, service, region string) bool {
	auth, refusal := parseAuthorization(r.Header)
	if refusal != nil || auth.keyID != keyID || auth.service != service || auth.region != region || !auth.signs("host") {
		return false
	}
	signed, err := time.Parse(amzTime, r.Header.Get("X-Amz-Date"))
	return err == nil && matches(r, body, auth, secret, signed)
}

// checkScope refuses what is signed for somewhere else, or leaves signed too little.
func (s *Server) checkScope(auth authorization, r *http.Request) *apiError {
	switch {
	case auth.region != s.region():
		return coral("InvalidSignatureException", "Credential should be scoped to a valid region, not '%s'. ", auth.region)
	case auth.service != service(r):
		return coral("InvalidSignatureException", "Credential should be scoped to correct service: '%s'. ", service(r))
	case !auth.signs("host"):
		return coral("InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for _, name := range []string{"X-Amz-Date", "X-Amz-Target", "X-Amz-Security-Token"} {
		values := r.Header.Values(name)
		if len(values) > 0 && (len(values) > 1 || !auth.signs(strings.ToLower(name))) {
			return coral("InvalidSignatureException", "'%s' must be a 'SignedHeader' in the AWS Authorization, and given once.", name)
		}
	}
	return nil
}

// checkDate gives the time the request was signed at, if that is about now.
func checkDate(now time.Time, auth authorization, date string) (time.Time, *apiError) {
	signed, err := time.Parse(amzTime, date)
	if err != nil {
		return signed, coral("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", date)
	}
	if auth.date != date[:8] {
		return signed, coral("InvalidSignatureException",
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", auth.date, date[:8], date)
	}
	text := func(t time.Time) string { return t.UTC().Format(amzTime) }
	if earliest := now.Add(-maxSkew); signed.Before(earliest.Truncate(time.Second)) {
		return signed, coral("InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)", date, text(earliest), text(now))
	}
	if latest := now.Add(maxSkew); signed.After(latest) {
		return signed, coral("InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 5 min.)", date, text(latest), text(now))
	}
	return signed, nil
}

// matches signs a copy of r that has its SignedHeaders only and compares. The SDK's
// signer signs more of a request than a client may have signed, and changes it.
func matches(r *http.Request, body []byte, auth authorization, secret string, signed time.Time) bool {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	// UNSIGNED-PAYLOAD and a hash of some other body end here.
	if claimed := r.Header.Values("X-Amz-Content-Sha256"); len(claimed) > 0 && !slices.Equal(claimed, []string{hash}) {
		return false
	}
	again := &http.Request{
		Method: r.Method,
		URL:    &url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Host:   r.Host,
		Header: http.Header{},
	}
	for _, name := range auth.signedHeaders {
		switch name {
		case "host": // is in Host
		case "content-length":
			// The signer adds it if and only if it is not zero.
			again.ContentLength = r.ContentLength
		default:
			if values := r.Header.Values(name); len(values) > 0 {
				// A copy: the signer writes X-Amz-Date into the slice it finds.
				again.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
			}
		}
	}
	// A new Signer: its cache of keys goes by access key id and day, not by secret. No
	// SessionToken: it would overwrite the header, which was compared already.
	creds := aws.Credentials{AccessKeyID: auth.keyID, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(r.Context(), creds, again, hash, auth.service, auth.region, signed); err != nil {
		return false
	}
	want, refusal := parseAuthorization(again.Header)
	return refusal == nil &&
		slices.Equal(auth.signedHeaders, want.signedHeaders) &&
		hmac.Equal([]byte(auth.signature), []byte(want.signature))
}

// equal compares secrets in a time that does not depend on where they differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
