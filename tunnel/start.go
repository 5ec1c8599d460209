package tunnel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

const (
	// relayTimeout bounds the start of a relay, an upload apart.
	relayTimeout = 15 * time.Second
	// uploadStall is how long an upload may stand still.
	uploadStall = 30 * time.Second
)

// startRelay runs the relay that is on the bastion's PATH or was uploaded
// before, and uploads one where there is none.
func (c *Client) startRelay(ctx context.Context, sh shell) (*runningRelay, error) {
	start := time.Now()
	onPath, uploaded, posix := true, false, shOnPath
	var unheard error // of the first attempt, where PATH had no sh
	for {
		r, err := c.execRelay(ctx, sh, posix, onPath)
		if err == nil {
			return r, nil
		}
		e := &Error{Kind: KindRelay, Host: sh.String(), Err: err, Hint: "install ddbproxy-relay on the bastion"}
		if c.SSHCommand == "" {
			e.Hint += ", or use --carrier forward"
		}
		var known *Error
		var hello *relay.HelloError
		switch {
		case errors.As(err, &known):
			return nil, known
		case !errors.As(err, &hello):
			e.Passing = true
			return nil, e
		case hello.Relay.Protocol != 0 && onPath:
			c.log().Info("the relay on the bastion's PATH is of another protocol: trying an uploaded one", "version", hello.Relay.Version)
			onPath = false
			continue
		case hello.Relay.Protocol > relay.Protocol:
			e.Hint = "update this ddbproxy, or install the relay of version " + c.Version + " on the bastion"
		case hello.Relay.Protocol != 0:
			e.Hint = "update ddbproxy-relay on the bastion to version " + c.Version
		}
		missing := missingLine.FindStringSubmatch(hello.Said)
		switch {
		case missing == nil && posix == shOnPath && noCommand.MatchString(hello.Said+hello.Stderr):
			posix, unheard = binSh, e
			continue
		case missing == nil && unheard != nil:
			return nil, unheard
		case missing == nil || uploaded:
			return nil, e
		}
		goos, goarch := goArch(missing[1], missing[2])
		program := c.program(goos, goarch)
		if program == nil {
			e.Err = fmt.Errorf("there is no relay on the bastion, and this ddbproxy carries none for %s/%s", goos, goarch)
			return nil, e
		}
		if err := c.upload(ctx, sh, posix, program); err != nil {
			e.Err = fmt.Errorf("upload of the relay: %w", err)
			e.Passing = !errors.Is(err, errRefused)
			return nil, e
		}
		uploaded = true
		c.traced(StepUpload, sh.String(), 0, start, "uploaded just now")
	}
}

func (c *Client) program(goos, goarch string) *Program {
	if c.Program == nil {
		return nil
	}
	return c.Program(goos, goarch)
}

// runningRelay is a relay and the program that it is on the bastion.
type runningRelay struct {
	*relay.Client
	remote remote
}

// ended words why the relay is gone.
func (r *runningRelay) ended() error {
	text := "the relay on the bastion ended"
	if r.GaveUp() {
		text = "the relay on the bastion is silent, or what it says is not its protocol"
	}
	if said := relay.Printable(r.remote.said(), 300); said != "" {
		text += ": " + said
	}
	return errors.New(text)
}

// lost is ended where the relay is why, and not what it stands on.
func (r *runningRelay) lost() error {
	if r.GaveUp() || r.remote.ownEnd() {
		return r.ended()
	}
	return nil
}

// execRelay starts a relay and shakes hands with it.
func (c *Client) execRelay(ctx context.Context, sh shell, posix string, onPath bool) (*runningRelay, error) {
	hashes := make(map[string]string)
	for _, m := range machines {
		if p := c.program("linux", m.goarch); p != nil {
			hashes[m.goarch] = p.Hash
		}
	}
	command, err := startCommand(posix, onPath, hashes, c.RelayArgs)
	if err != nil {
		return nil, err
	}
	timeout := sh.patience()
	late := fmt.Errorf("no answer for %v", timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, late)
	defer cancel()
	stop := context.AfterFunc(ctx, sh.cut)
	defer stop()
	far, err := sh.start(command)
	if errors.Is(err, ErrNoPrograms) || errors.Is(err, ErrNoSession) {
		return nil, &Error{Kind: KindRelay, Host: sh.String(), Err: err, Hint: "use --carrier forward, or an account that may run ddbproxy-relay"}
	}
	if err != nil {
		return nil, fmt.Errorf("run the relay: %w", err)
	}
	r, err := relay.NewClient(ctx, far, c.Version)
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if said := relay.Printable(far.said(), 300); cause == late && said != "" {
			cause = fmt.Errorf("%w; it printed %q", late, said)
		}
		return nil, cause
	}
	if err == nil {
		running := &runningRelay{Client: r, remote: far}
		r.Logger, r.Lost = c.log(), running.lost
		return running, nil
	}
	// NewClient has closed it. Who is not heard to the end counts as hung.
	_, _ = io.Copy(io.Discard, far)
	broken := far.wait() // and for all of stderr
	var hello *relay.HelloError
	silent := errors.As(err, &hello) && hello.Said == ""
	switch said := relay.Printable(far.said(), 300); {
	case silent:
		hello.Said = said
	case hello != nil:
		hello.Stderr = said
	}
	if e := sh.refused(broken, silent, err); e != nil {
		return nil, e
	}
	return nil, err
}

// errRefused marks an upload that the bastion refused: another try would end
// the same.
var errRefused = errors.New("the bastion refused it")

// upload stores p on the far side.
func (c *Client) upload(ctx context.Context, sh shell, posix string, p *Program) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, sh.cut)
	defer stop()
	stalled := time.AfterFunc(uploadStall, func() { cancel(fmt.Errorf("it stood still for %v", uploadStall)) })
	defer stalled.Stop()
	packed := p.Gzip()
	far, err := sh.start(uploadCommand(posix, p.Hash, unpackedSize(packed)))
	if err != nil {
		return err
	}
	sent := make(chan struct{})
	go func() { // ends with the program at the latest: its input is closed then
		defer close(sent)
		// A program that ends early says why; that its input broke is no news.
		_, _ = io.Copy(far, &progressReader{r: bytes.NewReader(packed), total: int64(len(packed)), report: func(done, total int64) {
			stalled.Reset(uploadStall)
			if c.Progress != nil {
				c.Progress(done, total)
			}
		}})
		far.CloseWrite()
	}()
	printed := new(tail)
	_, _ = io.Copy(printed, far) // its end is the program's
	broken := far.wait()
	far.Close()
	<-sent
	said := printed.String() + far.said()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if m := failedLine.FindStringSubmatch(said); m != nil {
		return fmt.Errorf("%w: %s", errRefused, relay.Printable(m[1], 300))
	}
	if m := uploadedLine.FindStringSubmatch(said); m != nil {
		c.log().Info("relay uploaded", "path", m[1], "bytes", len(packed))
		return nil
	}
	if broken != nil {
		return broken
	}
	return fmt.Errorf("%w: its shell answered %q", errRefused, relay.Printable(said, 300))
}

// unpackedSize is that of gzip's contents, from its end (RFC 1952, section 2.3.1).
func unpackedSize(packed []byte) uint32 {
	if len(packed) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(packed[len(packed)-4:])
}

// progressReader tells how much of it was read.
type progressReader struct {
	r           io.Reader
	done, total int64
	report      func(done, total int64)
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	if n > 0 {
		p.report(p.done, p.total)
	}
	return n, err
}
