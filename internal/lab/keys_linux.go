package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Passphrase opens the encrypted key of every lab.
const Passphrase = "lab passphrase"

// newKey makes a private key of a kind: ed25519, ecdsa or rsa.
func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case "ecdsa":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, fmt.Errorf("no key of kind %q", kind)
	}
}

// marshalKey writes a private key to path in OpenSSH's format, encrypted if
// passphrase is not empty, and its public half beside it. It returns that as
// one line of authorized_keys, without a comment.
func marshalKey(path string, key crypto.Signer, passphrase string) (string, error) {
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		return "", err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	return line, os.WriteFile(path+".pub", []byte(line+"\n"), 0o644)
}

// EncryptedKey writes the laptop user's key encrypted, beside the plain one,
// and returns the path; Passphrase opens it. It is not written without need,
// since OpenSSH's encryption is slow on purpose: 1.5 s under the race detector.
func (s *SSHD) EncryptedKey() string {
	s.lab.tb.Helper()
	path := filepath.Join(filepath.Dir(s.Key), "id_encrypted")
	if _, err := marshalKey(path, s.userKey, Passphrase); err != nil {
		s.lab.tb.Fatalf("lab: encrypt the key: %v", err)
	}
	return path
}

// writeHostKeys makes new host keys, one of each kind asked for, and returns
// them as lines of known_hosts.
func (s *SSHD) writeHostKeys() (known string, err error) {
	var lines strings.Builder
	for _, kind := range s.options.HostKeys {
		key, err := newKey(kind)
		if err != nil {
			return "", err
		}
		public, err := marshalKey(filepath.Join(s.dir, "ssh_host_"+kind+"_key"), key, "")
		if err != nil {
			return "", err
		}
		names := []string{BastionName, BastionAddr}
		if s.options.Address != "" {
			names = []string{s.options.Address}
		}
		for _, name := range names {
			if s.options.Port != 22 {
				name = fmt.Sprintf("[%s]:%d", name, s.options.Port)
			}
			fmt.Fprintf(&lines, "%s %s\n", name, public)
		}
	}
	return lines.String(), nil
}
