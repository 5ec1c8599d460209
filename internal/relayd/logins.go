package relayd

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
)

// methods are those of RFC 4252, 4256 and 4462 that sshd has.
var methods = []string{"publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "none"}

// logins reads sshd's list of what was accepted: a method a line, with a device
// behind a slash, and behind publickey the key, which its fingerprint stands for.
// The file may be any other, of which nothing is told.
func logins(text []byte) string {
	var all strings.Builder
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		login, _, _ := strings.Cut(fields[0], "/")
		if !slices.Contains(methods, login) {
			continue
		}
		if len(fields) >= 3 && login == "publickey" {
			if print, ok := fingerprint(fields[1], fields[2]); ok {
				login = print
			}
		}
		if all.Len() > 0 {
			login = "," + login
		}
		if all.Len()+len(login) > maxWho {
			all.WriteString(",...")
			break
		}
		all.WriteString(login)
	}
	return all.String()
}

// fingerprint is that of a key as authorized_keys has it: in base64 its type,
// which has to be the one before it (RFC 4253, section 6.6), and the rest.
func fingerprint(kind, encoded string) (string, bool) {
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) < 4 {
		return "", false
	}
	n := uint64(binary.BigEndian.Uint32(key))
	if n != uint64(len(kind)) || !bytes.HasPrefix(key[4:], []byte(kind)) {
		return "", false
	}
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), true
}
