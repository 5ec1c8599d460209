package proxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	amzDateFmt = "20060102T150405Z"
)

// A claim is what the Authorization header of a request says. The verification is our own and not the SDK signer's,
// because that one chooses the headers to sign itself: it can never agree with a client that signs User-Agent, nor with
// one that leaves a header out. See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
type claim struct {
	keyID, day, region, service string
	signed                      []string // header names, lower case, ascending
	signature                   string   // 64 hexadecimal digits
}

// parseAuthorization reads an Authorization header, strictly: the parts and forms that AWS's clients send, no others.
func parseAuthorization(header string) (claim, error) {
	name, rest, _ := strings.Cut(header, " ")
	switch {
	case header == "":
		return claim{}, refusal(missingToken, "the request is not signed; give the client credentials: "+getKey)
	case strings.HasPrefix(name, "AWS4-ECDSA"):
		return claim{}, refusal(incompleteSignature, "SigV4a signatures are not accepted; DynamoDB is signed with "+algorithm)
	case name != algorithm:
		return claim{}, refusal(incompleteSignature, "the Authorization header is not "+algorithm+"; use an AWS client")
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(strings.Trim(part, " "), "=")
		if _, again := parts[key]; !ok || again {
			return claim{}, refusal(incompleteSignature, "the Authorization header is malformed; use an AWS client")
		}
		parts[key] = value
	}
	scope := strings.Split(parts["Credential"], "/")
	c := claim{signature: parts["Signature"], signed: strings.Split(parts["SignedHeaders"], ";")}
	digits, hexErr := hex.DecodeString(c.signature)
	if len(parts) != 3 || len(scope) != 5 || scope[4] != "aws4_request" || !isWord(scope[0]) ||
		hexErr != nil || len(digits) != sha256.Size || strings.ToLower(c.signature) != c.signature {
		return claim{}, refusal(incompleteSignature, "the Authorization header is malformed; use an AWS client")
	}
	c.keyID, c.day, c.region, c.service = scope[0], scope[1], scope[2], scope[3]
	for i, h := range c.signed {
		if h == "" || h != strings.ToLower(h) || i > 0 && h <= c.signed[i-1] {
			return claim{}, refusal(incompleteSignature, "SignedHeaders is not a sorted list of lower-case names; use an AWS client")
		}
	}
	return c, nil
}

// checkForm refuses what a signature cannot vouch for: headers that two readers may read differently, dates and targets
// that are not signed, and the ways of signing that leave the body out. It needs no secret.
func (c claim) checkForm(r *http.Request, bodyHash string, clk *clock) error {
	for name, values := range r.Header {
		if len(values) > 1 && (name == "Authorization" || strings.HasPrefix(name, "X-Amz-")) {
			return refusal(incompleteSignature, "the header "+name+" is repeated; something between client and ddbproxy changes requests")
		}
	}
	if r.URL.RawQuery != "" {
		return refusal(incompleteSignature, "the request has a query string; DynamoDB's protocol has none, and presigned URLs (X-Amz-Signature) are not accepted")
	}
	required := []string{"host", "x-amz-date"}
	if !isRPCPath(r.URL.EscapedPath()) {
		required = append(required, "x-amz-target")
	}
	for _, name := range required {
		if _, ok := slices.BinarySearch(c.signed, name); !ok {
			return refusal(incompleteSignature, "the signature does not cover "+name+"; use an AWS client")
		}
	}
	switch given := r.Header.Get("X-Amz-Content-Sha256"); {
	case given == "", strings.EqualFold(given, bodyHash):
	case strings.Contains(given, "UNSIGNED-PAYLOAD"), strings.HasPrefix(given, "STREAMING-"):
		return refusal(incompleteSignature, "the signature leaves the body out (X-Amz-Content-Sha256); DynamoDB requests are signed with their body")
	default:
		return refusal(invalidSignature, "X-Amz-Content-Sha256 is not the hash of the body; something between client and ddbproxy changes requests")
	}
	date, err := time.Parse(amzDateFmt, r.Header.Get("X-Amz-Date"))
	if err != nil || date.Format("20060102") != c.day {
		return refusal(incompleteSignature, "X-Amz-Date is not a time of the form "+amzDateFmt+" on the day of the credential scope; use an AWS client")
	}
	if !clk.near(date) {
		return refusal(invalidSignature, "the request is dated "+date.Format(time.RFC3339)+" but the time here is "+clk.now().UTC().Format(time.RFC3339)+
			", more than 5 minutes apart; set the clock of the client's machine or container")
	}
	return nil
}

// matches reports whether the request as received was signed with key, which signingKey gives.
func (c claim) matches(r *http.Request, bodyHash string, key []byte) bool {
	canonical, ok := c.canonical(r, bodyHash)
	if !ok {
		return false
	}
	return equal(c.sign(canonical, r.Header.Get("X-Amz-Date"), key), c.signature)
}

// sign returns the signature of a canonical request, in hexadecimal digits.
func (c claim) sign(canonical []byte, date string, key []byte) string {
	hash := sha256.Sum256(canonical)
	return hex.EncodeToString(keyed(key, algorithm+"\n"+date+"\n"+c.scope()+"\n"+hex.EncodeToString(hash[:])))
}

// scope is the credential scope.
func (c claim) scope() string { return c.day + "/" + c.region + "/" + c.service + "/aws4_request" }

// String is the Authorization header that says c.
func (c claim) String() string {
	return algorithm + " Credential=" + c.keyID + "/" + c.scope() + ", SignedHeaders=" + strings.Join(c.signed, ";") + ", Signature=" + c.signature
}

// signingKey derives the key that a secret gives for a day, region and service.
func signingKey(secret, day, region, service string) []byte {
	return keyed(keyed(keyed(keyed([]byte("AWS4"+secret), day), region), service), "aws4_request")
}

func keyed(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// derived keeps the last signing key: a session's callers all use one, and deriving it is most of a signature.
type derived struct {
	mu                  sync.Mutex
	secret, day, region string
	key                 []byte
}

func (d *derived) from(secret, day, region string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.key == nil || d.secret != secret || d.day != day || d.region != region {
		d.secret, d.day, d.region = secret, day, region
		d.key = signingKey(secret, day, region, signingName)
	}
	return d.key
}

// canonical builds the canonical request from exactly the headers that are named as signed; it fails where one is absent.
func (c claim) canonical(r *http.Request, bodyHash string) ([]byte, bool) {
	var b bytes.Buffer
	b.Grow(1 << 10)
	b.WriteString(r.Method)
	b.WriteByte('\n')
	escapePath(&b, r.URL.EscapedPath())
	b.WriteString("\n\n") // an empty query, see checkForm
	for _, name := range c.signed {
		values := r.Header[http.CanonicalHeaderKey(name)]
		switch {
		case name == "host": // net/http takes these two out of Header
			values = []string{r.Host}
		case name == "content-length" && len(values) == 0:
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		case len(values) == 0:
			return nil, false
		}
		b.WriteString(name)
		for i, v := range values {
			b.WriteByte(":,"[min(i, 1)])
			squeeze(&b, v)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(c.signed, ";"))
	b.WriteByte('\n')
	b.WriteString(bodyHash)
	return b.Bytes(), true
}

// escapePath percent-encodes the path a second time, as SigV4 has it for every service but S3.
func escapePath(b *bytes.Buffer, path string) {
	if path == "" {
		path = "/"
	}
	for i := range len(path) {
		switch ch := path[i]; {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', strings.IndexByte("-._~/", ch) >= 0:
			b.WriteByte(ch)
		default:
			b.WriteByte('%')
			b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{ch})))
		}
	}
}

// squeeze writes a header value without spaces around it and with runs of them made one.
func squeeze(b *bytes.Buffer, value string) {
	value = strings.Trim(value, " ")
	for i := range len(value) {
		if value[i] != ' ' || value[i-1] != ' ' {
			b.WriteByte(value[i])
		}
	}
}

// isWord reports whether s could be an access key id, and is safe to print.
func isWord(s string) bool {
	return s != "" && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' || r == '.')
	}) < 0
}
