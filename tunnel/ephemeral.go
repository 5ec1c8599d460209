package tunnel

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Ephemeral lets in by keys that are made for one login each and that the
// server learns about some other way. They are for the destination, never for
// its jump hosts.
type Ephemeral struct {
	// Name is whose keys these are, as errors name it.
	Name string
	// Key makes a key and has the server accept it from user. It is called for
	// every login, while the way to the server is being made, and returns when
	// ctx ends; how long it may take is its own affair, for a person may be
	// asked meanwhile. An *Error of it is returned as it is, with its Host filled in;
	// any other is of KindAuth.
	Key func(ctx context.Context, user string) (ssh.Signer, error)
	// Valid is how long the server accepts a key; 0 is for as long as it takes.
	Valid time.Duration
	// Hint is what to do when the server refuses the key.
	Hint string
}

// Location is where a destination is now.
type Location struct {
	Address string // IP address or name
	Hint    string // what to do if nothing answers there; "" is the usual hint
}

// freshKey is an ephemeral key on its way to one login.
type freshKey struct {
	*Ephemeral
	host    *host
	cancel  context.CancelFunc
	ready   chan struct{} // closed when the first was made
	began   time.Time     // when the last was begun
	signer  ssh.Signer
	refusal error // why there is no key
}

// freshKey begins to make a key for h, nil where h has none. end is to be
// called.
func (c *Client) freshKey(ctx context.Context, h *host, depth int) *freshKey {
	if c.Ephemeral == nil || depth > 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &freshKey{Ephemeral: c.Ephemeral, host: h, cancel: cancel, ready: make(chan struct{})}
	go func() {
		defer close(f.ready)
		f.make(ctx)
	}()
	return f
}

// end stops the making of a key that nobody waits for any more.
func (f *freshKey) end() {
	if f != nil {
		f.cancel()
		<-f.ready
	}
}

func (f *freshKey) make(ctx context.Context) {
	f.began, f.refusal = time.Now(), nil
	var err error
	if f.signer, err = f.Key(ctx, f.host.User); err != nil {
		e := &Error{Kind: KindAuth, Err: fmt.Errorf("%s: %w", f.Name, err)}
		errors.As(err, &e)
		told := *e
		told.Host = f.host.String()
		f.refusal = &told
	}
}

// get waits for the key. The server waits meanwhile, so asking counts one more.
func (f *freshKey) get(ctx context.Context, asking *atomic.Int32) (ssh.Signer, error) {
	asking.Add(1)
	defer asking.Add(-1)
	<-f.ready
	// A jump host or an unknown host key may have had a person think since.
	if f.refusal == nil && f.Valid > 0 && time.Since(f.began) > f.Valid*3/4 {
		f.make(ctx)
	}
	return f.signer, f.refusal
}

// failed tells why there was no key to log in with, nil if that is not so. It is
// for the time after the login.
func (f *freshKey) failed() error {
	if f == nil {
		return nil
	}
	select {
	case <-f.ready:
		return f.refusal
	default:
		return nil
	}
}

// locate finds the destination's address, unless ssh's configuration names one
// or has a ProxyCommand, whose %h stays the name. Addresses change hands, so
// the host key is looked up by the name.
func (c *Client) locate(ctx context.Context, h *host, depth int) error {
	if c.Locate == nil || depth > 0 || h.ProxyCommand != "" || h.HostName != h.Alias {
		return nil
	}
	found, err := c.Locate(ctx)
	if err != nil {
		e := &Error{Kind: KindUnreachable, Err: fmt.Errorf("find its address: %w", err), Passing: true}
		errors.As(err, &e)
		told := *e
		told.Host = h.String()
		return &told
	}
	if h.HostKeyAlias == "" {
		h.HostKeyAlias = h.Alias
	}
	h.HostName, h.AbsentHint = found.Address, found.Hint
	return nil
}
