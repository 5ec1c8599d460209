package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/relayd"
	"golang.org/x/crypto/ssh"
)

// programs runs the relay for exec requests, and can end those that run.
type programs struct {
	scene *scene
	runs  atomic.Int32

	mu   sync.Mutex
	ends []context.CancelFunc
}

func (p *programs) run(_ string, ch ssh.Channel) int {
	p.runs.Add(1)
	ctx, end := context.WithCancel(context.Background())
	p.mu.Lock()
	p.ends = append(p.ends, end)
	p.mu.Unlock()
	r := relayd.Program{Stdin: ch, Stdout: ch, Stderr: ch.Stderr(), Close: ch.Close, Dial: p.scene.bastion.Dial}
	return r.Run(ctx, []string{"-region", "eu-west-1"})
}

func (p *programs) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, end := range p.ends {
		end()
	}
	p.ends = nil
}

// nextChange is closed when the state of c changes.
func nextChange(c *Client) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// A relay on PATH that is of another time gives way to an uploaded one; where a
// forced command leaves no choice, the error tells which end to update.
func TestRelayOfAnotherProtocol(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hello string
		want  string
	}{
		{"newer", "ddbproxy-relay 7 v9.0.0\n", "relay v9.0.0 speaks protocol 7, this ddbproxy speaks 1; update this ddbproxy, or install the relay of version test on the bastion"},
		{"nothing known", "ddbproxy-relay x v0\n", "install ddbproxy-relay on the bastion"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sc := newScene(t)
			sc.bastion.Exec = func(_ string, ch ssh.Channel) int {
				io.WriteString(ch, tt.hello)
				return 0
			}
			c := sc.client(t)
			c.Carrier = CarrierRelay
			err := c.Start(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Kind != KindRelay || !e.Permanent() || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start = %v, want %q", err, tt.want)
			}
		})
	}
	sc := newScene(t)
	relays := &programs{scene: sc}
	sc.bastion.Exec = func(command string, ch ssh.Channel) int {
		if strings.Contains(command, "command -v ddbproxy-relay") {
			io.WriteString(ch, "ddbproxy-relay 7 v9.0.0\n")
			return 0
		}
		return relays.run(command, ch)
	}
	c := sc.client(t)
	start(t, c)
	if err := ping(t.Context(), c); err != nil || relays.runs.Load() != 1 {
		t.Errorf("%v with %d uploaded relays, want the uploaded one to carry", err, relays.runs.Load())
	}
}

func TestRelayThatEndedIsStartedAgainWithoutAnotherLogin(t *testing.T) {
	sc := newScene(t)
	relays := &programs{scene: sc}
	var logins atomic.Int32
	other := sc.bastionLike(func(config *ssh.ServerConfig) {
		config.AuthLogCallback = func(_ ssh.ConnMetadata, _ string, err error) {
			if err == nil {
				logins.Add(1)
			}
		}
	})
	other.Exec = relays.run
	sc.bastion.Close()
	sc.bastion = other
	sc.serve(t, sc.addr)
	var log bytes.Buffer
	var mu sync.Mutex
	c := sc.client(t)
	c.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	start(t, c)
	const kills = 3
	for range kills {
		if err := ping(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		down := nextChange(c)
		relays.kill()
		<-down
	}
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := relays.runs.Load(); got != kills+1 {
		t.Errorf("%d relays were started, want %d", got, kills+1)
	}
	if got := logins.Load(); got != 1 {
		t.Errorf("%d logins, want 1", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "the relay on the bastion ended") {
		t.Errorf("log %q does not tell why the tunnel was down", &log)
	}
}

// A relay on the PATH of another protocol is passed over, and its end does not
// take the connection away from the one that is taken instead.
func TestRelayOfAnotherProtocolDoesNotEndTheConnection(t *testing.T) {
	sc := newScene(t)
	relays := &programs{scene: sc}
	t.Cleanup(relays.kill)
	sc.bastion.Exec = func(command string, ch ssh.Channel) int {
		if strings.Contains(command, "command -v") {
			io.WriteString(ch, "ddbproxy-relay 99 old\n")
			io.Copy(io.Discard, ch)
			return 0
		}
		return relays.run(command, ch)
	}
	c := sc.client(t)
	start(t, c)
	down := nextChange(c)
	select {
	case <-down:
		t.Error("the tunnel went down")
	case <-time.After(2 * time.Second):
	}
}

// A relay that ends as soon as it is up is not started again and again: with an
// ssh command each start is a login.
func TestRelayThatDoesNotLastIsStartedEverMoreRarely(t *testing.T) {
	sc := newScene(t)
	relays := &programs{scene: sc}
	sc.bastion.Exec = func(command string, ch ssh.Channel) int {
		defer time.AfterFunc(50*time.Millisecond, relays.kill).Stop()
		return relays.run(command, ch)
	}
	start(t, sc.client(t))
	<-time.After(5 * time.Second)
	if got := relays.runs.Load(); got < 3 || got > 6 {
		t.Errorf("%d starts in 5 s, want 3 to 6", got)
	}
}

// A relay that was given up may be hung, or its bastion gone: closing it cuts the
// connection soon, and a new relay must not be on that.
func TestRelayThatHasNotEndedIsNotReplacedOnItsConnection(t *testing.T) {
	c := newScene(t).client(t)
	start(t, c)
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if again := c.reload(t.Context(), s); again != nil {
		t.Error("another relay was started beside one that runs")
	}
	if s.alive() {
		t.Error("the connection is still there")
	}
	if err := ping(t.Context(), c); err != nil { // on a new one
		t.Error(err)
	}
}
