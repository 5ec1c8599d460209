package tinydb

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

// maxBody bounds a request body. BatchWriteItem may carry 16 MB "over the network"
// (API reference, BatchWriteItem); base64 and JSON are part of that, the slack is ours.
const maxBody = 17 << 20

// DB is the database of one account in one region. The zero value is an empty
// database, safe for concurrent use. It must not be copied after first use.
type DB struct {
	// Region is the region named in table ARNs; empty means eu-west-1.
	Region string
	// Account is the 12-digit account id named in table ARNs; empty means 123456789012.
	Account string

	mu     sync.RWMutex
	tables map[string]*table
}

var _ http.Handler = (*DB)(nil)

// ServeHTTP answers one DynamoDB request: a POST to / whose X-Amz-Target names the
// operation. It looks at no signature.
func (db *DB) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/" {
		writeError(w, &apiError{http.StatusNotFound, typeUnknownOperation, "tinydb: only POST / is served", nil})
		return
	}
	// One byte more than allowed tells "too long" from "just fits".
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		writeError(w, serialization("tinydb: the request body ended early"))
		return
	}
	if len(body) > maxBody {
		writeError(w, &apiError{http.StatusRequestEntityTooLarge, typeValidation, "tinydb: the request body is over 16 MB", nil})
		return
	}
	out, err := db.do(r.Header.Get("X-Amz-Target"), body)
	if err != nil {
		writeError(w, err)
		return
	}
	writeAnswer(w, http.StatusOK, out)
}

// do runs the operation that target names and gives the value to answer with.
func (db *DB) do(target string, body []byte) (any, error) {
	op, ok := strings.CutPrefix(target, "DynamoDB_20120810.")
	if !ok {
		return nil, unknownOperation(target)
	}
	switch op {
	case "CreateTable":
		return run(op, body, db.createTable)
	case "DescribeTable":
		return run(op, body, db.describeTable)
	case "ListTables":
		return run(op, body, db.listTables)
	case "DeleteTable":
		return run(op, body, db.deleteTable)
	case "PutItem":
		return run(op, body, db.putItem)
	case "GetItem":
		return run(op, body, db.getItem)
	case "DeleteItem":
		return run(op, body, db.deleteItem)
	case "BatchWriteItem":
		return run(op, body, db.batchWriteItem)
	case "Query":
		return run(op, body, db.query)
	case "Scan":
		return run(op, body, db.scan)
	}
	return nil, unknownOperation(op)
}

// run decodes body into the operation's input and calls it.
func run[In, Out any](op string, body []byte, f func(*In) (Out, error)) (any, error) {
	var in In
	if err := decode(op, body, &in); err != nil {
		return nil, err
	}
	return f(&in)
}

func (db *DB) region() string {
	if db.Region == "" {
		return "eu-west-1"
	}
	return db.Region
}

func (db *DB) account() string {
	if db.Account == "" {
		return "123456789012"
	}
	return db.Account
}
