package tinydb

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
)

// The error types, with the prefixes DynamoDB gives them: its own errors carry the
// service's name, those of the framework in front of it "coral".
const (
	typeNotFound         = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
	typeInUse            = "com.amazonaws.dynamodb.v20120810#ResourceInUseException"
	typeConditional      = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
	typeInternal         = "com.amazonaws.dynamodb.v20120810#InternalServerError"
	typeValidation       = "com.amazon.coral.validate#ValidationException"
	typeSerialization    = "com.amazon.coral.service#SerializationException"
	typeUnknownOperation = "com.amazon.coral.service#UnknownOperationException"
)

// apiError is a refusal as the client will read it.
type apiError struct {
	status int
	typ    string // the whole __type
	msg    string
	item   json.RawMessage // only for ReturnValuesOnConditionCheckFailure
}

func (e *apiError) Error() string { return e.typ + ": " + e.msg }

func invalid(format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, typeValidation, fmt.Sprintf(format, args...), nil}
}

// unimplemented is the honest refusal: what is named there, DynamoDB would accept.
func unimplemented(format string, args ...any) *apiError {
	return invalid("tinydb: %s is not implemented", fmt.Sprintf(format, args...))
}

func serialization(msg string) *apiError {
	return &apiError{http.StatusBadRequest, typeSerialization, msg, nil}
}

func unknownOperation(name string) *apiError {
	return &apiError{http.StatusBadRequest, typeUnknownOperation, fmt.Sprintf("tinydb: operation %q is not implemented", name), nil}
}

func notFound(msg string) *apiError {
	return &apiError{http.StatusBadRequest, typeNotFound, msg, nil}
}

// writeError answers with err in DynamoDB's JSON shape.
func writeError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{http.StatusInternalServerError, typeInternal, err.Error(), nil}
	}
	writeAnswer(w, e.status, struct {
		Type    string          `json:"__type"`
		Message string          `json:"message,omitempty"`
		Item    json.RawMessage `json:"Item,omitempty"`
	}{e.typ, e.msg, e.item})
}

// writeAnswer sends v with the headers every DynamoDB answer has.
func writeAnswer(w http.ResponseWriter, status int, v any) {
	body, err := marshal(v)
	if err != nil {
		// Only a value of ours that cannot be encoded gets here.
		status, body = http.StatusInternalServerError, []byte(`{"__type":"`+typeInternal+`"}`)
	}
	h := w.Header()
	h.Set("Server", "Server")
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amzn-Requestid", requestID())
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	// A client that has left is nobody to tell.
	_, _ = w.Write(body)
}

// marshal encodes without the HTML escapes of encoding/json, which DynamoDB does not
// send, and without the newline of its Encoder.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// requestID gives 52 characters of 0-9 and A-V, the shape of the service's own.
func requestID() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails, by its documentation
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:])
}
