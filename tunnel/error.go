package tunnel

import (
	"errors"
	"fmt"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// Kind says what went wrong, for callers that decide on it (exit codes).
type Kind int

// The kinds of Error.
const (
	KindConfig      Kind = iota + 1 // the ssh configuration or a flag
	KindUnreachable                 // name, route, port, or silence
	KindHostKey                     // unknown, changed or revoked
	KindAuth                        // no key was accepted
	KindRelay                       // ssh is well, the relay is not
)

// Error is why there is no tunnel, in one sentence that ends with the remedy.
type Error struct {
	Kind Kind
	Host string // user@host:port as far as known
	Err  error
	Hint string // what to do next; may be empty

	// Passing tells that it may mend by itself: trying again is worthwhile.
	Passing bool

	mute bool // no server there has shown a key: another address may have one
}

// Error is one printable line: parts of it may be the server's own words.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s: %v", e.Hop(), e.Host, e.Err)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return relay.Printable(text, 1000)
}

func (e *Error) Unwrap() error { return e.Err }

// Hop names the part of the path that failed: "local", "ssh" or "relay".
func (e *Error) Hop() string {
	switch e.Kind {
	case KindConfig:
		return "local"
	case KindRelay:
		return "relay"
	}
	return "ssh"
}

// Permanent reports whether it will not mend by waiting: somebody has to do
// something first. The client still tries again from time to time, so nothing
// has to be restarted afterwards.
func (e *Error) Permanent() bool { return !e.Passing }

// ErrClosed is returned for a Client that was closed.
var ErrClosed = errors.New("tunnel: closed")
