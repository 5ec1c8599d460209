package tunnel

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// pool is two bastions, whose second cannot be told from the first by its
// distance.
func pool(t *testing.T) (*Pool, *scene, *scene) {
	a, b := newScene(t), newScene(t)
	return &Pool{Bastions: []*Client{a.client(t), b.client(t)}, provenAfter: 300 * time.Millisecond}, a, b
}

func startPool(t *testing.T, p *Pool) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
}

// inUse waits until the bastion with that index is the one in use.
func inUse(t *testing.T, p *Pool, want int) {
	t.Helper()
	until(t, func() bool { return p.Status()[want].InUse })
}

// until waits for what has no event.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("not within 20 s")
		}
	}
}

func TestPoolFailsOverAndComesBack(t *testing.T) {
	p, a, _ := pool(t)
	var moves atomic.Int32
	p.Moved = func() { moves.Add(1) }
	startPool(t, p)
	inUse(t, p, 0)
	stays, err := p.DialContext(t.Context(), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	addr := a.addr
	a.bastion.Disconnect()
	if err := ping(t.Context(), p); err != nil {
		t.Fatalf("with one bastion away: %v", err)
	}
	inUse(t, p, 1)
	over, err := p.DialContext(t.Context(), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	a.serve(t, addr)
	inUse(t, p, 0)
	if err := echoed(over); err != nil {
		t.Errorf("a connection that was opened meanwhile: %v, want it to stay", err)
	}
	if err := echoed(stays); err == nil {
		t.Error("a connection outlived its bastion")
	}
	if err := ping(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return moves.Load() >= 2 }) // three where the second came up first
}

func TestPoolStartsWithWhatIsThere(t *testing.T) {
	p, a, _ := pool(t)
	a.bastion.Close()
	startPool(t, p)
	if err := ping(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	st := p.Status()
	if st[0].InUse || !st[1].InUse {
		t.Errorf("status = %+v, want the second in use", st)
	}
}

func TestPoolOfNothingTellsOfEachBastion(t *testing.T) {
	p, a, b := pool(t)
	a.bastion.Close()
	b.bastion.Close()
	err := p.Start(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindUnreachable || !strings.Contains(err.Error(), a.addr) || !strings.Contains(err.Error(), b.addr) {
		t.Errorf("Start = %v, want both named", err)
	}
}

// The first error decides the exit code, so it may not be whoever fails first.
func TestPoolTellsErrorsInTheOrderOfTheBastions(t *testing.T) {
	slow := `sh -c "sleep 0.3; echo Permission denied >&2; exit 255"`
	p := &Pool{Bastions: []*Client{{Destination: "slow", SSHCommand: slow}, {Destination: "no name"}}}
	err := p.Start(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Host != "slow" || e.Kind != KindAuth {
		t.Errorf("Start = %v, want the error of slow first", err)
	}
}

// Who waits to be asked is not asked when everything has been given up.
func TestNoQuestionComesAfterAnInterrupt(t *testing.T) {
	t.Parallel()
	person := &oneAtATime{answer: "yes"}
	q := newInterview([]*Client{{Prompter: person}})
	q.mu.Lock()
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := make(chan error)
	go func() {
		_, err := turn{q, person}.Ask(ctx, "password: ", true)
		asked <- err
	}()
	interrupted := errors.New("interrupted")
	cancel(interrupted)
	q.mu.Unlock()
	if err := <-asked; err != interrupted || person.asked.Load() != 0 {
		t.Errorf("%v, and asked %d times; want %v and 0", err, person.asked.Load(), interrupted)
	}
}

func TestPoolLeavesABastionThatCannotReachAWS(t *testing.T) {
	p, a, _ := pool(t)
	a.bastion.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
	}
	a.bastion.Forward = false
	startPool(t, p)
	until(t, func() bool { return p.Status()[1].Up })
	inUse(t, p, 0)
	if err := ping(t.Context(), p); err != nil {
		t.Errorf("a dial: %v, want it to go by the second", err)
	}
	inUse(t, p, 1)
}

func TestPoolLearnsFromAnEarlyDial(t *testing.T) {
	p, a, _ := pool(t)
	a.bastion.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	}
	startPool(t, p)
	until(t, func() bool { return p.Status()[1].Up })
	inUse(t, p, 0)
	conn, err := p.DialEarly(t.Context(), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("read from nowhere")
	}
	conn.Close()
	inUse(t, p, 1)
	if err := ping(t.Context(), p); err != nil {
		t.Error(err)
	}
}

// The first that is up ends the time of questions; what the second would have
// asked is an error that is logged.
func TestPoolAsksOneQuestionAtATime(t *testing.T) {
	p, a, b := pool(t)
	for _, sc := range []*scene{a, b} {
		if err := os.Remove(sc.knownHosts); err != nil {
			t.Fatal(err)
		}
	}
	open := &oneAtATime{answer: "yes", thinks: 20 * time.Millisecond}
	for _, c := range p.Bastions {
		c.Prompter = open
	}
	startPool(t, p)
	if open.most.Load() != 1 {
		t.Errorf("%d questions were open at a time, want 1", open.most.Load())
	}
	asked := open.asked.Load()
	a.bastion.Disconnect()
	b.bastion.Disconnect()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := ping(ctx, p); err == nil {
		t.Error("both bastions are away")
	}
	if open.asked.Load() != asked {
		t.Error("somebody was asked after the start")
	}
}

func TestPoolAsksForAPassphraseOnce(t *testing.T) {
	p, a, b := pool(t)
	locked := filepath.Join(a.dir, "locked")
	key := writeKey(t, locked, "open sesame")
	for _, sc := range []*scene{a, b} {
		sc.bastion.Authorized = []ssh.PublicKey{key}
	}
	// It thinks for so long that the other login comes to want it too.
	slow := &oneAtATime{answer: "open sesame", thinks: 300 * time.Millisecond}
	for _, c := range p.Bastions {
		c.Identities, c.Prompter = []string{locked}, slow
	}
	startPool(t, p)
	until(t, func() bool { return p.Status()[0].Up && p.Status()[1].Up })
	if got := slow.asked.Load(); got != 1 {
		t.Errorf("asked %d times, want once", got)
	}
}

// oneAtATime gives one answer to all questions, and counts.
type oneAtATime struct {
	answer string
	thinks time.Duration

	asked, open, most atomic.Int32
}

func (o *oneAtATime) Ask(context.Context, string, bool) (string, error) {
	o.asked.Add(1)
	n := o.open.Add(1)
	defer o.open.Add(-1)
	if n > o.most.Load() {
		o.most.Store(n)
	}
	<-time.After(o.thinks)
	return o.answer, nil
}
