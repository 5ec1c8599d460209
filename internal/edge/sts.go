package edge

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// isSTS reports whether a request is for the security token service.
func isSTS(r *http.Request) bool { return strings.HasPrefix(r.Host, "sts.") }

// service is the one that a request has to be signed for.
func service(r *http.Request) string {
	if isSTS(r) {
		return "sts"
	}
	return "dynamodb"
}

// stsCodes are STS's names for what DynamoDB's front door calls otherwise.
var stsCodes = map[string]string{
	"UnrecognizedClientException":         "InvalidClientTokenId",
	"ExpiredTokenException":               "ExpiredToken",
	"InvalidSignatureException":           "SignatureDoesNotMatch",
	"IncompleteSignatureException":        "IncompleteSignature",
	"MissingAuthenticationTokenException": "MissingAuthenticationToken",
}

// sts answers GetCallerIdentity, which no policy can deny, and nothing else, in the
// form of AWS's query protocol.
func (s *Server) sts(now time.Time, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<10))
	if err != nil {
		return
	}
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "text/xml")
	fail := func(status int, code, message string) {
		w.WriteHeader(status)
		writeXML(w, struct {
			XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
			Type    string   `xml:"Error>Type"`
			Code    string   `xml:"Error>Code"`
			Message string   `xml:"Error>Message"`
			ID      string   `xml:"RequestId"`
		}{Type: "Sender", Code: code, Message: message, ID: requestID()})
	}
	user, refusal := s.authenticate(now, r, body)
	if refusal != nil {
		fail(http.StatusForbidden, stsCodes[refusal.typ[strings.Index(refusal.typ, "#")+1:]], refusal.msg)
		return
	}
	form, err := url.ParseQuery(string(body))
	if action := form.Get("Action"); err != nil || action != "GetCallerIdentity" {
		fail(http.StatusBadRequest, "InvalidAction", "Could not find operation "+action)
		return
	}
	writeXML(w, struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
		Arn     string   `xml:"GetCallerIdentityResult>Arn"`
		UserID  string   `xml:"GetCallerIdentityResult>UserId"`
		Account string   `xml:"GetCallerIdentityResult>Account"`
		ID      string   `xml:"ResponseMetadata>RequestId"`
	}{Arn: user.ARN, UserID: "AIDAEXAMPLE", Account: user.Account, ID: requestID()})
}

func writeXML(w io.Writer, answer any) { _ = xml.NewEncoder(w).Encode(answer) } // a client that left is no news
