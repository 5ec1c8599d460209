package relay

import (
	"crypto/rand"
	"strings"
	"time"
)

// Record is what a Server knows of a connection when it is over.
type Record struct {
	ID     string // the client's, empty where it gave none
	Client string // the version that the client said it is
	Target string // host:port that was asked for, printable
	Addr   string // address that was dialled, empty where none was
	Began  time.Time

	Up, Down int64 // bytes from the client and to it

	Kind   Kind   // why it was refused, empty where it was not
	Reason string // the same in words, or how it broke; empty after a tidy end
}

// idHeader is the field of a CONNECT request with the connection's id. Relays
// that do not know it ignore it.
const idHeader = "Ddbproxy-Connection"

// newID is short enough for a log; it need not be secret.
func newID() string { return rand.Text()[:12] }

// cleanID is an id from a client, empty if it is none.
func cleanID(id string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
	if len(id) > 64 || strings.Trim(id, letters) != "" {
		return ""
	}
	return id
}
