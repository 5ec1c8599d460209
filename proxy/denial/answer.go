package denial

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/aws/smithy-go/encoding/cbor"
)

// MaxAnswer bounds the answers that are looked at, in bytes, packed and unpacked. A denial is a message and little more;
// what is larger is another error, such as a failed condition with its item.
const MaxAnswer = 16 << 10

// IsDenied reports whether code, an error's name as SDKs have it or as it stands in __type, is that of a denial.
func IsDenied(code string) bool {
	code = code[strings.IndexByte(code, '#')+1:]
	code, _, _ = strings.Cut(code, ":") // some services add the address of a description
	return code == "AccessDeniedException" || code == "AccessDenied"
}

// FromAnswer reads an answer of DynamoDB as it came: JSON, or CBOR for those who speak RPC v2, perhaps in gzip. It
// reports whether it is a denial.
func FromAnswer(status int, h http.Header, body []byte) (Denial, bool) {
	if status != http.StatusBadRequest || len(body) > MaxAnswer {
		return Denial{}, false
	}
	body, ok := unpack(h.Get("Content-Encoding"), body)
	if !ok {
		return Denial{}, false
	}
	var kind, message string
	if contentType, _, _ := strings.Cut(h.Get("Content-Type"), ";"); strings.EqualFold(strings.TrimSpace(contentType), "application/cbor") {
		kind, message = fromCBOR(body)
	} else {
		kind, message = fromJSON(body)
	}
	if !IsDenied(kind) {
		return Denial{}, false
	}
	return Parse(message), true
}

func unpack(coding string, body []byte) ([]byte, bool) {
	switch strings.ToLower(strings.TrimSpace(coding)) {
	case "", "identity":
		return body, true
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, false
		}
		body, err = io.ReadAll(io.LimitReader(z, MaxAnswer+1))
		return body, err == nil && len(body) <= MaxAnswer
	}
	return nil, false
}

// fromJSON relies on encoding/json's matching of names: DynamoDB has "message" and "Message".
func fromJSON(body []byte) (kind, message string) {
	var answer struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &answer) // what is not JSON is no denial
	return answer.Type, answer.Message
}

func fromCBOR(body []byte) (kind, message string) {
	value, err := cbor.Decode(body)
	answer, ok := value.(cbor.Map)
	if err != nil || !ok {
		return "", ""
	}
	text := func(names ...string) string {
		for _, name := range names {
			if s, ok := answer[name].(cbor.String); ok {
				return string(s)
			}
		}
		return ""
	}
	return text("__type"), text("message", "Message")
}
