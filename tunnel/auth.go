package tunnel

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Prompter asks the person at the terminal. A nil Prompter means that there is
// none: whatever needs an answer fails with a remedy instead.
type Prompter interface {
	// Ask shows question and reads one line, unseen where secret.
	Ask(ctx context.Context, question string, secret bool) (string, error)
}

// asker asks one question during one login attempt and ends with it; nil where
// there is nobody to ask.
type asker func(question string, secret bool) (string, error)

// keyring finds the keys to offer. It outlives single connections, so that a
// passphrase is asked once.
type keyring struct {
	mu    sync.Mutex
	files map[string]*fileKey
}

// offer is what one login attempt may use; it notes what was tried.
type offer struct {
	signers []ssh.Signer
	from    []string // describes signers[i]
	agent   io.Closer
	skipped []string // why a key could not be used
}

func (o *offer) Close() {
	if o.agent != nil {
		o.agent.Close()
	}
}

// offer collects keys in OpenSSH's order: agent keys that the configuration
// names, other agent keys unless IdentitiesOnly, then key files.
func (r *keyring) offer(ctx context.Context, h *host, ask asker) *offer {
	o := new(offer)
	var files []*fileKey
	for _, name := range h.IdentityFiles {
		key, err := r.load(name, ask)
		switch {
		case err == nil:
			files = append(files, key)
		case !errors.Is(err, os.ErrNotExist):
			o.skipped = append(o.skipped, err.Error())
		}
	}
	var fromAgent []ssh.Signer
	if h.IdentityAgent != "" {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "unix", h.IdentityAgent); err == nil {
			o.agent = conn
			fromAgent, err = agent.NewClient(conn).Signers()
			if err != nil {
				o.skipped = append(o.skipped, "agent: "+err.Error())
			}
		} else {
			o.skipped = append(o.skipped, "agent: "+err.Error())
		}
	}
	named := func(s ssh.Signer) bool {
		for _, f := range files {
			if bytes.Equal(f.public.Marshal(), s.PublicKey().Marshal()) {
				return true
			}
		}
		return false
	}
	add := func(s ssh.Signer, from string) {
		o.signers = append(o.signers, s)
		o.from = append(o.from, describe(s.PublicKey())+" from "+from)
	}
	for _, wantNamed := range []bool{true, false} {
		for _, s := range fromAgent {
			if named(s) == wantNamed && (wantNamed || !h.IdentitiesOnly) {
				add(s, "agent")
			}
		}
	}
	for _, f := range files {
		inAgent := false
		for _, s := range fromAgent {
			inAgent = inAgent || bytes.Equal(s.PublicKey().Marshal(), f.public.Marshal())
		}
		switch {
		case inAgent:
		case f.usable():
			add(f, f.name)
		case f.pem != nil:
			o.skipped = append(o.skipped, f.name+" is encrypted and there is no terminal to ask for its passphrase")
		}
	}
	return o
}

// load reads a key file, and keeps an opened one so that it is asked about
// once. A key that was not opened is read anew: it may have been replaced.
func (r *keyring) load(name string, ask asker) (*fileKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := r.files[name]; key != nil && key.opened() {
		return key, nil
	}
	key, err := readKey(name)
	if err != nil {
		return nil, err
	}
	key.ask = ask
	if r.files == nil {
		r.files = make(map[string]*fileKey)
	}
	r.files[name] = key
	return key, nil
}

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
}

var _ ssh.MultiAlgorithmSigner = (*fileKey)(nil)

// readKey reads a private key, or a public one whose private half an agent
// has (IdentityFile may name either).
func readKey(name string) (*fileKey, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		return &fileKey{name: name, public: public}, nil
	}
	signer, err := ssh.ParsePrivateKey(data)
	var encrypted *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return &fileKey{name: name, public: signer.PublicKey(), signer: signer}, nil
	case !errors.As(err, &encrypted):
		return nil, fmt.Errorf("%s is not a private key that can be read: %s", name, strings.TrimPrefix(err.Error(), "ssh: "))
	}
	key := &fileKey{name: name, public: encrypted.PublicKey, pem: data}
	if key.public == nil { // old PEM formats keep it apart
		data, err := os.ReadFile(name + ".pub")
		if err != nil {
			return nil, fmt.Errorf("%s is encrypted in an old format and %s.pub is missing: convert it with ssh-keygen -p -f %s", name, name, name)
		}
		if key.public, _, _, _, err = ssh.ParseAuthorizedKey(data); err != nil {
			return nil, fmt.Errorf("%s.pub: %w", name, err)
		}
	}
	return key, nil
}

// opened reports whether a passphrase was asked for and given.
func (k *fileKey) opened() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signer != nil && k.asked
}

// usable reports whether the key can sign: it is open, or can be opened by
// asking.
func (k *fileKey) usable() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signer != nil || (k.pem != nil && k.ask != nil)
}

func (k *fileKey) PublicKey() ssh.PublicKey { return k.public }

// Algorithms offers RSA's SHA-2 signatures only (RFC 8332): servers have
// refused SHA-1 since OpenSSH 8.8.
func (k *fileKey) Algorithms() []string {
	if k.public.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{k.public.Type()}
}

func (k *fileKey) Sign(rnd io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rnd, data, k.Algorithms()[0])
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
	return nil, fmt.Errorf("%s: three wrong passphrases", k.name)
}
