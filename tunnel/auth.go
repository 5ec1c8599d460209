package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
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
	files   []*fileKey
	mute    ssh.PublicKey // the server would take it, and it did not sign
}

func (o *offer) Close() {
	if o.agent != nil {
		o.agent.Close()
	}
}

// add appends a key that h's configuration accepts.
func (o *offer) add(h *host, s ssh.Signer, from string) {
	limited, ok := h.Algorithms.limit(s)
	if !ok {
		o.skipped = append(o.skipped, describe(s.PublicKey())+" is not among PubkeyAcceptedAlgorithms")
		return
	}
	if l, ok := limited.(limitedSigner); ok {
		limited = notedSigner{l, func() { o.mute = s.PublicKey() }}
	}
	o.signers = append(o.signers, limited)
	o.from = append(o.from, describe(s.PublicKey())+" from "+from)
}

// behindMute are the keys that are left when one was to sign and did not: with
// that, ssh's client gives the whole method up.
func (o *offer) behindMute() []ssh.Signer {
	if o.mute == nil {
		return nil
	}
	i := slices.IndexFunc(o.signers, func(s ssh.Signer) bool { return sameKey(s.PublicKey(), o.mute) })
	o.mute = nil
	return o.signers[i+1:]
}

// addFirst puts a key before those that are there.
func (o *offer) addFirst(h *host, s ssh.Signer, from string) {
	signers, origins := o.signers, o.from
	o.signers, o.from = nil, nil
	o.add(h, s, from)
	o.signers, o.from = append(o.signers, signers...), append(o.from, origins...)
}

// offer collects certificates first: a server that trusts an authority often
// knows no plain key, and each refused key counts towards MaxAuthTries. Within
// each of the two the order is OpenSSH's: agent keys that the configuration
// names, other agent keys unless IdentitiesOnly, then key files.
func (r *keyring) offer(ctx context.Context, h *host, ask asker, asking *atomic.Int32) *offer {
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
	o.files = files
	certificates := o.readCertificates(h)
	fromAgent := o.askAgent(ctx, h, asking)
	named := func(s ssh.Signer) bool {
		return slices.ContainsFunc(files, func(f *fileKey) bool { return sameKey(f.public, s.PublicKey()) }) ||
			slices.ContainsFunc(certificates, func(c certificate) bool { return sameKey(c.Certificate, s.PublicKey()) })
	}
	inAgent := func(key ssh.PublicKey) ssh.Signer {
		if i := slices.IndexFunc(fromAgent, func(s ssh.Signer) bool { return sameKey(s.PublicKey(), key) }); i >= 0 {
			return fromAgent[i]
		}
		return nil
	}
	for _, wantCertificate := range []bool{true, false} {
		for _, wantNamed := range []bool{true, false} {
			for _, s := range fromAgent {
				if isCertificate(s.PublicKey()) == wantCertificate && named(s) == wantNamed && (wantNamed || !h.IdentitiesOnly) {
					o.add(h, s, "agent")
				}
			}
		}
		if wantCertificate {
			for _, c := range certificates {
				if inAgent(c.Certificate) == nil {
					o.addCertificate(h, c, files, inAgent(c.Key))
				}
			}
		}
	}
	for _, f := range files {
		switch {
		case inAgent(f.public) != nil:
		case f.usable():
			o.add(h, f, f.name)
		case f.pem != nil:
			o.skipped = append(o.skipped, f.name+" is encrypted and there is no terminal to ask for its passphrase")
		default:
			o.skipped = append(o.skipped, f.name+" is a public key, and no agent has its private half")
		}
	}
	return o
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// load reads a key file. One that was opened is kept, so that it is asked about
// once; one that was not is read anew, for it may have been replaced. Logins at
// the same time share it.
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
	if old := r.files[name]; old != nil && old.same(key, ask) {
		return old, nil
	}
	key.ask = ask
	if r.files == nil {
		r.files = make(map[string]*fileKey)
	}
	r.files[name] = key
	return key, nil
}
