package edge

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"time"
)

// apiError is a refusal by the front door, in AWS's words.
type apiError struct {
	status int
	typ    string
	msg    string
}

func (e *apiError) Error() string { return e.typ + ": " + e.msg }

// coral makes a 400 of the framework in front of DynamoDB, which has its prefix.
func coral(name, format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, "com.amazon.coral.service#" + name, fmt.Sprintf(format, args...)}
}

// answer holds a whole response back, so that it can be completed, cut or dropped.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*answer)(nil)

func newAnswer() *answer { return &answer{header: http.Header{}} }

// Header, Write and WriteHeader make answer the backend's ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *answer) WriteHeader(status int) {
	// 1xx are not the answer yet; net/http sends none of ours.
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// refuse makes the answer an error in DynamoDB's JSON shape.
func refuse(e *apiError) *answer {
	a := newAnswer()
	a.header.Set("Content-Type", "application/x-amz-json-1.0")
	a.WriteHeader(e.status)
	enc := json.NewEncoder(&a.body)
	enc.SetEscapeHTML(false)
	// Two strings always encode.
	_ = enc.Encode(struct {
		Type    string `json:"__type"`
		Message string `json:"message,omitempty"`
	}{e.typ, e.msg})
	a.body.Truncate(a.body.Len() - 1) // the Encoder's newline
	return a
}

// complete adds what every answer of the service has and the backend did not give.
// It leaves alone what is there: a wrong checksum of the backend stays wrong.
func (a *answer) complete(now time.Time) {
	a.WriteHeader(http.StatusOK)
	for name, value := range map[string]string{
		"Server":           "Server",
		"X-Amzn-Requestid": requestID(),
		"X-Amz-Crc32":      strconv.FormatUint(uint64(crc32.ChecksumIEEE(a.body.Bytes())), 10),
	} {
		if a.header.Get(name) == "" {
			a.header.Set(name, value)
		}
	}
	// SDKs set their clock by this header; a backend has no clock of AWS's.
	a.header.Set("Date", now.UTC().Format(http.TimeFormat))
}

// requestID gives 52 characters of 0-9 and A-V, the shape of the service's own.
func requestID() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails, by its documentation
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:])
}
