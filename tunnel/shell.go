package tunnel

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// shell runs programs on the bastion.
type shell interface {
	// start starts command, which the login shell there reads.
	start(command string) (remote, error)
	// cut ends all that was started, at once.
	cut()
	// patience is how long a program there may take to answer.
	patience() time.Duration
	// refused words the end of a program that has not answered, where that is
	// no matter of the relay's; nil where it is. broken is what wait returned,
	// silent that the program printed nothing, why the error without more.
	refused(broken error, silent bool, why error) *Error
	// String is the bastion as errors name it.
	String() string
}

// remote is a program that runs on the bastion: its input and output.
type remote interface {
	io.ReadWriteCloser
	// CloseWrite ends its input.
	CloseWrite() error
	// wait waits until it is over. An error tells that the way to it broke; how
	// it ended by itself is none.
	wait() error
	// hasEnded reports whether the program itself is over. One that was given up
	// may run on, and its connection is cut some seconds after it was closed.
	hasEnded() bool
	// ownEnd reports, within a moment, whether its end was its own, and not that of
	// the way to it.
	ownEnd() bool
	// said is the end of what it printed on standard error.
	said() string
}

// sshShell is exec requests on an ssh connection (RFC 4254, section 6.5).
type sshShell struct{ *link }

func (s sshShell) String() string                    { return s.host.String() }
func (s sshShell) patience() time.Duration           { return relayTimeout }
func (s sshShell) refused(error, bool, error) *Error { return nil }

// ErrNoPrograms tells that the server refuses exec requests.
var ErrNoPrograms = errors.New("the bastion runs no program for this account")

func (s sshShell) start(command string) (remote, error) {
	ch, reqs, err := s.openSession()
	if err != nil {
		return nil, err
	}
	p := &execPipe{Channel: ch, in: newWindow(ch, s.distance), link: s.link, ended: make(chan struct{}), exited: make(chan struct{})}
	p.work.Go(func() { p.listen(reqs) })
	p.work.Go(func() { io.Copy(&p.stderr, ch.Stderr()) }) // ends with the channel
	// The answer is no round trip of its own: with it comes the window, without
	// which nothing can be written (0 at first in sshd).
	ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err == nil && !ok {
		err = ErrNoPrograms
	}
	if err != nil {
		ch.Close()
		return nil, err
	}
	return p, nil
}

// ErrNoSession tells that the server opens no channel for a program now.
var ErrNoSession = errors.New("the bastion opens no session (MaxSessions in its sshd_config)")

// openSession opens a channel for a program. With MaxSessions 1 sshd refuses it
// until it has cleaned up after the one before, which takes it a moment.
func (l *link) openSession() (ssh.Channel, <-chan *ssh.Request, error) {
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		ch, reqs, err := l.OpenChannel("session", nil)
		var refused *ssh.OpenChannelError
		switch {
		case err == nil || !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed:
			return ch, reqs, err
		case pause > 500*time.Millisecond:
			return nil, nil, fmt.Errorf("%w: %w", ErrNoSession, err)
		}
		select {
		case <-time.After(pause):
		case <-l.gone:
			return nil, nil, err
		}
	}
}

// closeWait is how long a program's end may take once it was closed. A line may be
// slow, and others may use the connection.
const closeWait = 5 * time.Second

// execPipe is a remote by an exec request.
type execPipe struct {
	ssh.Channel
	link   *link
	stderr tail
	once   sync.Once
	ended  chan struct{} // closed when the output has ended
	exited chan struct{} // closed when the server told how it ended

	work sync.WaitGroup
	in   *window // what Read reads
}

// listen hears how the program ends; the channel's end ends it.
func (p *execPipe) listen(reqs <-chan *ssh.Request) {
	told := sync.OnceFunc(func() { close(p.exited) })
	for req := range reqs {
		if req.Type == "exit-status" || req.Type == "exit-signal" {
			told()
		}
		if req.WantReply {
			req.Reply(false, nil)
		}
	}
}

func (p *execPipe) said() string { return p.stderr.String() }

func (p *execPipe) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	if err != nil {
		p.once.Do(func() { close(p.ended) })
	}
	return n, err
}

func (p *execPipe) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// ownEnd waits, for the output may end before the server tells why.
func (p *execPipe) ownEnd() bool {
	select {
	case <-p.exited:
		return true
	case <-p.link.gone:
	case <-time.After(settle):
	}
	return false
}

func (p *execPipe) wait() error {
	p.work.Wait()
	select {
	case <-p.exited:
		return nil
	default:
		return errors.New("it ended without an exit status")
	}
}

// Close asks for the end of the program. A dead peer would hold that message,
// and a hung program its answer: then the connection is cut.
func (p *execPipe) Close() error {
	cut := time.AfterFunc(closeWait, func() {
		if !p.hasEnded() {
			p.link.conn.Close()
		}
	})
	err := p.Channel.Close()
	if p.hasEnded() {
		cut.Stop()
	}
	return err
}

// tail keeps the last bytes of what a program printed.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxTail; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
