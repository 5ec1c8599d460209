package proxy

import (
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
)

// The names under which SDKs show our answers, as DynamoDB itself writes them in __type. Names of our own have no prefix;
// every SDK prints them as they are and none retries them.
const (
	missingToken        = "com.amazon.coral.service#MissingAuthenticationTokenException"
	incompleteSignature = "com.amazon.coral.service#IncompleteSignatureException"
	invalidSignature    = "com.amazon.coral.service#InvalidSignatureException"
	unrecognizedClient  = "com.amazon.coral.service#UnrecognizedClientException"
	accessDenied        = "com.amazon.coral.service#AccessDeniedException"
	unknownOperation    = "com.amazon.coral.service#UnknownOperationException"
	validation          = "com.amazon.coral.validate#ValidationException"
	internalError       = "com.amazonaws.dynamodb.v20120810#InternalServerError"
	unavailable         = "com.amazonaws.dynamodb.v20120810#ServiceUnavailable"

	bastionUnreachable     = "DDBProxyBastionUnreachable"
	endpointUnreachable    = "DDBProxyEndpointUnreachable"
	credentialsExpired     = "DDBProxyCredentialsExpired"
	credentialsUnavailable = "DDBProxyCredentialsUnavailable"
)

// An answer is an error of the proxy's own, ready to be sent in the shape that the caller's SDK understands.
type answer struct {
	status  int
	kind    string // one of the names above
	message string // what is wrong and what to do, one line, without secrets
	hangUp  bool   // the request was not read to its end, so the connection cannot serve another
}

func (a *answer) Error() string { return a.message }

// refusal is an answer that no SDK retries.
func refusal(kind, message string) *answer {
	return &answer{status: http.StatusBadRequest, kind: kind, message: message}
}

// send writes the answer. Plain text, HTML or a missing checksum would hide the message in most SDKs: Go v2 warns without
// X-Amz-Crc32, JavaScript reports a syntax error, and old Go shows an empty code unless the name is in __type.
func (a *answer) send(w http.ResponseWriter, r *http.Request, id string, clk *clock) int {
	message := "ddbproxy: " + oneLine(a.message, 1200)
	var contentType string
	var body []byte
	switch {
	case strings.EqualFold(r.Header.Get("Smithy-Protocol"), "rpc-v2-cbor"):
		contentType, body = "application/cbor", cborMap("__type", a.kind, "message", message)
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	case wantsXML(r):
		contentType, body = "text/xml", xmlError(a.kind, message, id)
	default:
		contentType = "application/x-amz-json-1.0"
		body, _ = json.Marshal(struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}{a.kind, message}) // two strings always marshal
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	h.Set("X-Amzn-Requestid", id)
	h.Set("Date", clk.aws().UTC().Format(http.TimeFormat)) // net/http would add this machine's time
	if a.status == http.StatusServiceUnavailable {
		// The first is read by JavaScript, the second by botocore and Go under their retry rules of 2026.
		h.Set("Retry-After", "2")
		h.Set("X-Amz-Retry-After", "2000")
	}
	if a.hangUp {
		h.Set("Connection", "close")
	}
	w.WriteHeader(a.status)
	n, _ := w.Write(body) // an error is the caller's leaving
	return n
}

// wantsXML tells the services that a global AWS_ENDPOINT_URL sends here (sts, s3, …) from DynamoDB, by what the request
// looks like: their clients print nothing of a JSON answer but a parse error.
func wantsXML(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	if strings.HasPrefix(contentType, "application/x-www-form-urlencoded") {
		return true
	}
	_, after, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope := strings.Split(after, "/")
	return len(scope) > 3 && scope[3] != signingName && !strings.HasPrefix(contentType, "application/x-amz-json")
}

func xmlError(kind, message, id string) []byte {
	type detail struct {
		Type    string
		Code    string
		Message string
	}
	body, _ := xml.Marshal(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Error     detail
		RequestID string `xml:"RequestId"`
	}{Error: detail{"Sender", strings.TrimSuffix(kind[strings.IndexByte(kind, '#')+1:], "Exception"), message}, RequestID: id})
	return body
}

// cborMap encodes a map of at most 23 text pairs (RFC 8949, section 3.1), all that an error in RPC v2 CBOR needs.
func cborMap(pairs ...string) []byte {
	b := []byte{0xa0 | byte(len(pairs)/2)}
	for _, s := range pairs {
		b = append(b, 0x79) // text, length in two bytes
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

// oneLine makes text from elsewhere fit for a message: one line and bounded.
func oneLine(s string, most int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || !strconv.IsPrint(r) }), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
