//go:build linux

package tunnel

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/internal/bastion"
)

// desk makes keys for a bastion that takes only the last one, and that from
// the user it was made for.
type desk struct {
	t *testing.T

	mu     sync.Mutex
	users  []string // of the keys that were made
	last   ssh.Signer
	offers []string // fingerprints that the bastion was shown
}

func (d *desk) key(_ context.Context, user string) (ssh.Signer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users, d.last = append(d.users, user), newKey(d.t)
	return d.last, nil
}

// made is for whom keys were made so far.
func (d *desk) made() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.users...)
}

func (d *desk) login(c *ssh.ServerConfig) {
	c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.offers = append(d.offers, ssh.FingerprintSHA256(key))
		if d.last == nil || m.User() != d.users[len(d.users)-1] || !bytes.Equal(key.Marshal(), d.last.PublicKey().Marshal()) {
			return nil, errors.New("not that one")
		}
		return nil, nil
	}
}

// withDesk is a scene whose bastion takes a desk's keys, and a client that has
// the desk make them.
func withDesk(t *testing.T) (*scene, *desk, *Client) {
	t.Helper()
	sc, d := newScene(t), &desk{t: t}
	sc.move(t, sc.bastionLike(d.login))
	c := sc.client(t)
	c.Ephemeral = &Ephemeral{Name: "the desk", Key: d.key, Valid: time.Minute, Hint: "ask at the desk"}
	return sc, d, c
}

// move puts another bastion in the place of the scene's.
func (sc *scene) move(t *testing.T, b *bastion.Server) {
	t.Helper()
	sc.bastion.Close()
	sc.bastion = b
	sc.serve(t, sc.addr)
}

func TestEveryLoginIsByAKeyOfItsOwn(t *testing.T) {
	sc, d, c := withDesk(t)
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	sc.bastion.Disconnect()
	sc.serve(t, sc.addr)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for err := ping(ctx, c); err != nil; err = ping(ctx, c) {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if got, want := d.made(), []string{"dev", "dev"}; !reflect.DeepEqual(got, want) {
		t.Errorf("keys were made for %q, want %q", got, want)
	}
}

func TestEphemeralKeyIsOfferedFirst(t *testing.T) {
	_, d, c := withDesk(t)
	start(t, c)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, got := range d.offers {
		if want := ssh.FingerprintSHA256(d.last.PublicKey()); got != want {
			t.Errorf("the bastion was shown %s, want only %s", got, want)
		}
	}
}

// A person who thought about a host key, say, has used the time up.
func TestEphemeralKeyThatGotOldIsMadeAgain(t *testing.T) {
	_, d, c := withDesk(t)
	c.Ephemeral.Valid = time.Nanosecond
	start(t, c)
	if got := len(d.made()); got != 2 {
		t.Errorf("%d keys were made, want 2", got)
	}
}

func TestEphemeralKeyIsForTheDestinationOnly(t *testing.T) {
	sc, d, c := withDesk(t)
	_, one := jumpHost(t, "one")
	host, port, _ := strings.Cut(sc.addr, ":")
	configure(t, c, one, "Host end", "HostName "+host, "Port "+port, "User dev", "ProxyJump one",
		"UserKnownHostsFile "+sc.knownHosts, "PubkeyAuthentication no")
	// The configuration forbids its own keys at the end, not that one.
	c.Destination = "end"
	start(t, c)
	if got, want := d.made(), []string{"dev"}; !reflect.DeepEqual(got, want) {
		t.Errorf("keys were made for %q, want %q", got, want)
	}
}

func TestOtherKeysFollowAnEphemeralOneThatIsRefused(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	c.Ephemeral = &Ephemeral{Name: "the desk", Key: func(context.Context, string) (ssh.Signer, error) { return newKey(t), nil }}
	start(t, c)
}

func TestEphemeralKeyThatIsRefusedIsNamed(t *testing.T) {
	_, _, c := withDesk(t)
	c.Ephemeral.Key = func(context.Context, string) (ssh.Signer, error) { return newKey(t), nil }
	err := c.Start(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindAuth || e.Hint != "ask at the desk" || !strings.Contains(e.Error(), " from the desk, ed25519 ") {
		t.Errorf("error %v, want a refused login with the desk's key first and its hint", err)
	}
}

func TestWhyThereIsNoEphemeralKeyIsTold(t *testing.T) {
	sc := newScene(t)
	for _, tt := range []struct {
		name string
		err  error
		want Error
	}{
		{"plain", errors.New("closed today"), Error{Kind: KindAuth, Host: "dev@" + sc.addr, Err: errors.New("the desk: closed today")}},
		{"passing", &Error{Kind: KindUnreachable, Err: errors.New("a queue"), Hint: "wait", Passing: true},
			Error{Kind: KindUnreachable, Host: "dev@" + sc.addr, Err: errors.New("a queue"), Hint: "wait", Passing: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := sc.client(t)
			c.Ephemeral = &Ephemeral{Name: "the desk", Key: func(context.Context, string) (ssh.Signer, error) { return nil, tt.err }}
			err := c.Start(t.Context())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want an *Error", err)
			}
			got, want := *e, tt.want
			if got.Err.Error() != want.Err.Error() {
				t.Errorf("error %q, want %q", got.Err, want.Err)
			}
			if got.Err, want.Err = nil, nil; got != want {
				t.Errorf("error %+v, want %+v", got, want)
			}
		})
	}
}

// The making of a key ends with the attempt that it is for.
func TestNobodyWaitsForAKeyOnceTheServerIsNotReached(t *testing.T) {
	_, _, c := withDesk(t)
	c.Destination = "dev@127.0.0.1:1" // nobody is there
	c.Ephemeral.Key = func(ctx context.Context, _ string) (ssh.Signer, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v, want connection refused", err)
	}
}
