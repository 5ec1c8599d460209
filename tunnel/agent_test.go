package tunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// An agent that hangs must not hold a login that was called off.
func TestHungAgentEndsWithTheLogin(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	t.Setenv("SSH_AUTH_SOCK", listenAgent(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := c.Start(ctx)
	c.Close()
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start = %v, want it to end with its context", err)
	}
}

// A key that waits for a touch is not a server that says nothing.
func TestSigningAgentCountsAsAQuestion(t *testing.T) {
	var asking atomic.Int32
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	k := &agentKey{watchedSigner{newKey(t).(ssh.AlgorithmSigner), func() {
		if n := asking.Load(); n != 1 {
			t.Errorf("%d questions are open while the key signs, want 1", n)
		}
	}}, near, &asking, nil}
	if _, err := k.SignWithAlgorithm(rand.Reader, []byte("x"), ssh.KeyAlgoED25519); err != nil {
		t.Fatal(err)
	}
	if n := asking.Load(); n != 0 {
		t.Errorf("%d questions are open after it has signed, want none", n)
	}
}

// reluctant is an agent whose first key signs nothing: its owner said no.
type reluctant struct {
	agent.ExtendedAgent
	no ssh.PublicKey
}

func (r reluctant) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	if sameKey(key, r.no) {
		return nil, errors.New("declined")
	}
	return r.ExtendedAgent.SignWithFlags(key, data, flags)
}

func TestKeyThatDoesNotSignLeavesTheTurnToTheNext(t *testing.T) {
	sc := newScene(t)
	keys := agent.NewKeyring().(agent.ExtendedAgent)
	r := reluctant{ExtendedAgent: keys}
	for n := range 3 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			t.Fatal(err)
		}
		public, err := ssh.NewPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		switch n { // the second is none that the bastion knows
		case 0:
			r.no, sc.bastion.Authorized = public, []ssh.PublicKey{public}
		case 2:
			sc.bastion.Authorized = append(sc.bastion.Authorized, public)
		}
	}
	c := sc.client(t)
	c.Identities = nil
	t.Setenv("SSH_AUTH_SOCK", listenAgent(t, func(conn net.Conn) { agent.ServeAgent(r, conn) }))
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Error(err)
	}
}

type watchedSigner struct {
	ssh.AlgorithmSigner
	look func()
}

func (w watchedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	w.look()
	return w.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}
