package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const (
	// agentTimeout is for listing keys, which needs nobody.
	agentTimeout = 10 * time.Second
	// signTimeout is for a signature: a person may have to touch a key, or to
	// answer the agent's own question.
	signTimeout = time.Minute
)

// askAgent lists the agent's keys, none without an agent. While a key signs,
// asking counts one more: the server is not silent, it waits as we do.
func (o *offer) askAgent(ctx context.Context, h *host, asking *atomic.Int32) []ssh.Signer {
	if h.IdentityAgent == "" {
		return nil
	}
	conn, err := dialAgent(ctx, h.IdentityAgent)
	if err != nil {
		o.skipped = append(o.skipped, "agent: "+err.Error())
		return nil
	}
	// The agent protocol has no deadlines of its own.
	o.agent = closers{conn, stopper(context.AfterFunc(ctx, func() { conn.Close() }))}
	deadline := time.Now().Add(agentTimeout)
	conn.SetDeadline(deadline)
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		why := strings.TrimPrefix(err.Error(), "agent: ")
		if time.Now().After(deadline) {
			why = fmt.Sprintf("no answer for %v", agentTimeout)
		}
		o.skipped = append(o.skipped, "agent: "+why)
		return nil
	}
	conn.SetDeadline(time.Time{})
	if len(signers) == 0 {
		o.skipped = append(o.skipped, "the agent shows no key: it is empty, or locked (ssh-add -X unlocks it)")
	}
	refused := func(key ssh.PublicKey, err error) {
		o.skipped = append(o.skipped, "the agent did not sign with "+describe(key)+": "+strings.TrimPrefix(err.Error(), "agent: "))
	}
	for i, s := range signers {
		if algorithmSigner, ok := s.(ssh.AlgorithmSigner); ok {
			signers[i] = &agentKey{algorithmSigner, conn, asking, refused}
		}
	}
	return signers
}

// agentKey is a key in the agent, which may take its time to sign.
type agentKey struct {
	ssh.AlgorithmSigner
	conn    net.Conn
	asking  *atomic.Int32
	refused func(key ssh.PublicKey, err error) // is told of a signature that was not made
}

func (k *agentKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, signatureOf(k.PublicKey().Type()))
}

func (k *agentKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	defer k.wait()()
	signature, err := k.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	if err != nil {
		k.refused(k.PublicKey(), err)
	}
	return signature, err
}

// wait begins a wait for the agent; the function returned ends it.
func (k *agentKey) wait() (end func()) {
	k.asking.Add(1)
	k.conn.SetDeadline(time.Now().Add(signTimeout))
	return func() {
		k.conn.SetDeadline(time.Time{})
		k.asking.Add(-1)
	}
}

// closers closes all of them.
type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// stopper is the stop function of context.AfterFunc as an io.Closer.
type stopper func() bool

func (s stopper) Close() error {
	s()
	return nil
}
