package tunnel

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"
)

// revokedKeys are the keys of RevokedHostKeys; its zero value has none.
type revokedKeys struct {
	file string
	keys []ssh.PublicKey // of a text file
	list *krl            // of a binary one
}

// readRevoked reads RevokedHostKeys: a key a line, or what ssh-keygen -k has
// written. As in OpenSSH a list that cannot be read lets nobody in.
func readRevoked(h *host) (revokedKeys, error) {
	r := revokedKeys{file: h.RevokedHostKeys}
	if r.file == "" {
		return r, nil
	}
	data, err := os.ReadFile(r.file)
	if err != nil {
		return r, fmt.Errorf("RevokedHostKeys: %w", err)
	}
	if bytes.HasPrefix(data, []byte(krlMagic)) {
		if r.list, err = parseKRL(data); err != nil {
			return r, fmt.Errorf("RevokedHostKeys %s is %w", r.file, err)
		}
		return r, nil
	}
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, ok := parsePublic(line)
		if !ok {
			return r, fmt.Errorf("RevokedHostKeys %s: a line that is not a public key", r.file)
		}
		r.keys = append(r.keys, key)
	}
	return r, nil
}

// has reports whether the file names the key, a certificate, the key that it is
// for, or its authority's.
func (r revokedKeys) has(key ssh.PublicKey) bool {
	of := []ssh.PublicKey{key}
	if c, ok := key.(*ssh.Certificate); ok {
		of = append(of, c.Key, c.SignatureKey)
	}
	return r.list != nil && r.list.has(key) || slices.ContainsFunc(r.keys, func(bad ssh.PublicKey) bool {
		return slices.ContainsFunc(of, func(key ssh.PublicKey) bool { return sameKey(bad, key) })
	})
}
