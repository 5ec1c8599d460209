package tunnel

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestKeysAreLimitedToAcceptedAlgorithms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		accepted []string
		keyType  string
		want     []string // signature algorithms; nil: not offered
	}{
		{nil, ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
		{nil, ssh.CertAlgoRSAv01, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
		{nil, ssh.CertAlgoSKED25519v01, []string{ssh.KeyAlgoSKED25519}},
		{[]string{ssh.KeyAlgoRSA}, ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSA}},
		{[]string{ssh.KeyAlgoED25519}, ssh.KeyAlgoRSA, nil},
		{[]string{ssh.KeyAlgoED25519}, ssh.CertAlgoED25519v01, nil},
		{[]string{ssh.CertAlgoED25519v01}, ssh.CertAlgoED25519v01, []string{ssh.KeyAlgoED25519}},
	} {
		signer, ok := algorithms{PublicKeys: tc.accepted}.limit(typeOnly{tc.keyType})
		var got []string
		if ok {
			got = signer.(ssh.MultiAlgorithmSigner).Algorithms()
		}
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s of %v: %v, want %v", tc.keyType, tc.accepted, got, tc.want)
		}
	}
}

// typeOnly is a key of which only the type matters.
type typeOnly struct{ name string }

func (k typeOnly) PublicKey() ssh.PublicKey                       { return k }
func (k typeOnly) Type() string                                   { return k.name }
func (k typeOnly) Marshal() []byte                                { return []byte(k.name) }
func (k typeOnly) Verify([]byte, *ssh.Signature) error            { return errors.ErrUnsupported }
func (k typeOnly) Sign(io.Reader, []byte) (*ssh.Signature, error) { return nil, errors.ErrUnsupported }
func (k typeOnly) SignWithAlgorithm(io.Reader, []byte, string) (*ssh.Signature, error) {
	return nil, errors.ErrUnsupported
}

// A key of a kind that cannot be read here is known by its .pub, and signs in
// the agent.
func TestAgentSignsForAKeyFileThatCannotBeRead(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	socket := runAgent(t, agent.AddedKey{PrivateKey: rawKey(t, sc.key)})
	if err := os.WriteFile(sc.key+".pub", ssh.MarshalAuthorizedKey(publicOf(t, sc.key)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sc.key, pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("?")}), 0o600); err != nil {
		t.Fatal(err)
	}
	configure(t, c, "IdentityAgent "+socket, "IdentitiesOnly yes", "IdentityFile "+sc.key, "UserKnownHostsFile "+sc.knownHosts)
	start(t, c)
}

func TestOptionsThatAreNotHonouredAreNamedOnce(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	var log bytes.Buffer
	var mu sync.Mutex
	c.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	configure(t, c, "IdentityFile "+sc.key, "UserKnownHostsFile "+sc.knownHosts, "VerifyHostKeyDNS yes", "KnownHostsCommand /bin/false", "ControlMaster auto")
	start(t, c)
	addr := sc.addr
	sc.bastion.Disconnect()
	sc.serve(t, addr)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got, want := strings.Count(log.String(), "not honoured"), 1; got != want {
		t.Errorf("%d warnings, want %d:\n%s", got, want, &log)
	}
	if want := fmt.Sprintf("options=%q", "KnownHostsCommand, VerifyHostKeyDNS"); !strings.Contains(log.String(), want) {
		t.Errorf("log %s, want %s in it", &log, want)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
