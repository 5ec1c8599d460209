package proxy

import (
	"crypto/rand"
	"log/slog"
)

// Key is an access key pair that only this proxy knows. It opens nothing at AWS, so it can be handed to the processes
// of a session where real credentials could not. The zero Key admits nobody.
type Key struct {
	ID     string // looks like an access key id, which some clients insist on
	Secret string
}

// SessionKeyPrefix begins the ID of every session key.
const SessionKeyPrefix = "DDBPROXY"

// NewKey returns a random key. Its ID has 20 characters and begins with DDBPROXY, so that one found in a log or a
// configuration file explains itself.
func NewKey() Key {
	return Key{ID: SessionKeyPrefix + rand.Text()[:12], Secret: (rand.Text() + rand.Text())[:40]}
}

// String returns the ID only, so that a printed Key gives nothing away.
func (k Key) String() string { return k.ID }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.ID }

// LogValue is String, for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.ID) }
