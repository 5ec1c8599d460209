package tunnel

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// An agent that hangs must not hold a login that was called off.
func TestHungAgentEndsWithTheLogin(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	socket := filepath.Join(sc.dir, "agent.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { io.Copy(io.Discard, conn); conn.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	t.Setenv("SSH_AUTH_SOCK", socket)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err = c.Start(ctx)
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

type watchedSigner struct {
	ssh.AlgorithmSigner
	look func()
}

func (w watchedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	w.look()
	return w.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}
