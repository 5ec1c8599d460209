package edge

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

const algorithm = "AWS4-HMAC-SHA256"

// authorization is a request's Authorization header, taken apart.
type authorization struct {
	keyID, date, region, service string
	signedHeaders                []string
	signature                    string
}

// parseAuthorization reads the header; what is wrong with its form is an
// IncompleteSignatureException, with a hash in place of the header, as AWS does it.
func parseAuthorization(h http.Header) (authorization, *apiError) {
	var auth authorization
	values := h.Values("Authorization")
	if len(values) == 0 {
		return auth, coral("MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	if scheme != algorithm || len(values) > 1 {
		return auth, coral("IncompleteSignatureException", "Authorization header requires exactly one value of the algorithm '%s'. %s", algorithm, hashed(values[0]))
	}
	params := map[string]string{}
	for param := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(param), "=")
		if _, twice := params[name]; !ok || twice {
			return auth, coral("IncompleteSignatureException", "'%s' is not a valid key=value pair (missing equal-sign, or given twice) in Authorization header. %s", name, hashed(values[0]))
		}
		params[name] = value
	}
	missing := ""
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if params[name] == "" {
			missing += "Authorization header requires '" + name + "' parameter. "
		}
	}
	if h.Get("X-Amz-Date") == "" {
		missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
	}
	if missing != "" {
		return auth, coral("IncompleteSignatureException", "%s%s", missing, hashed(values[0]))
	}
	scope := strings.Split(params["Credential"], "/")
	if len(scope) != 5 {
		return auth, coral("IncompleteSignatureException",
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", params["Credential"])
	}
	if scope[4] != "aws4_request" {
		return auth, coral("InvalidSignatureException", "Credential should be scoped with a valid terminator: 'aws4_request', not '%s'. ", scope[4])
	}
	return authorization{
		keyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		signedHeaders: strings.Split(params["SignedHeaders"], ";"),
		signature:     params["Signature"],
	}, nil
}

func (a authorization) signs(header string) bool { return slices.Contains(a.signedHeaders, header) }

// hashed identifies a header without giving it away.
func hashed(header string) string {
	sum := sha256.Sum256([]byte(header))
	return "(Hashed with SHA-256 and encoded with Base64) Authorization=" + base64.StdEncoding.EncodeToString(sum[:])
}
