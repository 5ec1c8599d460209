package tunnel

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// fileKey is a private key in a file. An encrypted one is opened only when the
// server has said that it would take it.
type fileKey struct {
	name   string
	public ssh.PublicKey
	ask    asker

	mu     sync.Mutex
	pem    []byte     // encrypted, until opened
	signer ssh.Signer // nil until opened
	asked  bool
	locked bool // three wrong passphrases were given
}

var _ ssh.AlgorithmSigner = (*fileKey)(nil)

// readKey reads a private key, or a public one whose private half an agent
// has: IdentityFile may name either, and where the private one is missing or of
// a kind that cannot be read here (a security key's) the .pub beside it does.
func readKey(name string) (*fileKey, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		if public, ok := readPublic(name + ".pub"); ok && errors.Is(err, os.ErrNotExist) {
			return &fileKey{name: name, public: public}, nil
		}
		return nil, err
	}
	if public, ok := parsePublic(data); ok {
		return &fileKey{name: name, public: public}, nil
	}
	if info, err := os.Stat(name); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to other users (mode %04o), so it is not used: chmod 600 %s", name, info.Mode().Perm(), name)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var encrypted *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return &fileKey{name: name, public: signer.PublicKey(), signer: signer}, nil
	case !errors.As(err, &encrypted):
		if public, ok := readPublic(name + ".pub"); ok {
			return &fileKey{name: name, public: public}, nil
		}
		return nil, fmt.Errorf("%s is not a private key that can be read: %s", name, strings.TrimPrefix(err.Error(), "ssh: "))
	}
	key := &fileKey{name: name, public: encrypted.PublicKey, pem: data}
	if key.public == nil { // old PEM formats keep it apart
		public, ok := readPublic(name + ".pub")
		if !ok {
			return nil, fmt.Errorf("%s is encrypted in an old format and %s.pub cannot be read: convert it with ssh-keygen -p -f %s", name, name, name)
		}
		key.public = public
	}
	return key, nil
}

func readPublic(name string) (ssh.PublicKey, bool) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, false
	}
	return parsePublic(data)
}

// parsePublic reads the one-line format of .pub files.
func parsePublic(data []byte) (ssh.PublicKey, bool) {
	public, _, _, _, err := ssh.ParseAuthorizedKey(data)
	return public, err == nil
}

// opened reports whether a passphrase was asked for and given.
func (k *fileKey) opened() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signer != nil && k.asked
}

// same reports whether k is the encrypted key that other is, and can still be
// opened, from now on by ask.
func (k *fileKey) same(other *fileKey, ask asker) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pem == nil || k.locked || !bytes.Equal(k.pem, other.pem) {
		return false
	}
	k.ask = ask
	return true
}

// usable reports whether the key can sign: it is open, or can be opened by
// asking.
func (k *fileKey) usable() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signer != nil || (k.pem != nil && k.ask != nil)
}

func (k *fileKey) PublicKey() ssh.PublicKey { return k.public }

func (k *fileKey) Sign(rnd io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rnd, data, k.public.Type())
}

func (k *fileKey) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := k.open()
	if err != nil {
		return nil, err
	}
	if s, ok := signer.(ssh.AlgorithmSigner); ok {
		return s.SignWithAlgorithm(rand.Reader, data, algorithm)
	}
	return signer.Sign(rand.Reader, data)
}

// open asks for the passphrase, three times at most as ssh does.
func (k *fileKey) open() (ssh.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.signer != nil {
		return k.signer, nil
	}
	if k.ask == nil {
		return nil, fmt.Errorf("%s is encrypted and there is no terminal to ask for its passphrase", k.name)
	}
	question := fmt.Sprintf("Passphrase for %s: ", k.name)
	for range 3 {
		passphrase, err := k.ask(question, true)
		if err != nil {
			return nil, err
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(k.pem, []byte(passphrase))
		if err == nil {
			k.signer, k.pem, k.asked = signer, nil, true
			return signer, nil
		}
		question = "Wrong passphrase. " + fmt.Sprintf("Passphrase for %s: ", k.name)
	}
	k.locked = true
	return nil, fmt.Errorf("%s: three wrong passphrases", k.name)
}
