package tunnel

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"
)

// readRevoked reads RevokedHostKeys. As in OpenSSH a list that cannot be read
// lets nobody in.
func readRevoked(h *host) ([]ssh.PublicKey, error) {
	if h.RevokedHostKeys == "" {
		return nil, nil
	}
	data, err := os.ReadFile(h.RevokedHostKeys)
	if err != nil {
		return nil, fmt.Errorf("RevokedHostKeys: %w", err)
	}
	if bytes.HasPrefix(data, []byte("SSHKRL\n")) {
		return nil, fmt.Errorf("RevokedHostKeys %s is a binary list (KRL), and only text with a key a line can be read here", h.RevokedHostKeys)
	}
	var keys []ssh.PublicKey
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, ok := parsePublic(line)
		if !ok {
			return nil, fmt.Errorf("RevokedHostKeys %s: a line that is not a public key", h.RevokedHostKeys)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// revoked reports whether RevokedHostKeys has the key, or the key or authority
// of a certificate.
func (k *hostKeys) revoked(key ssh.PublicKey) (file string, revoked bool) {
	of := []ssh.PublicKey{key}
	if c, ok := key.(*ssh.Certificate); ok {
		of = append(of, c.Key, c.SignatureKey)
	}
	for _, bad := range k.bad {
		if slices.ContainsFunc(of, func(key ssh.PublicKey) bool { return sameKey(bad, key) }) {
			return k.host.RevokedHostKeys, true
		}
	}
	return "", false
}
