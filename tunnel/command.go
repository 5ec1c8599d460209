package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// commandConn is a program on this machine, a ProxyCommand or an ssh command: a
// byte stream that is its standard input and output. What it prints on standard
// error goes to the log; its last line is kept for the error, should it die.
type commandConn struct {
	name            string   // as errors call it
	in, out, stderr *os.File // our ends of its pipes
	cmd             *exec.Cmd
	atTerminal      bool
	close           sync.Once
	closeIn         sync.Once
	ended           chan struct{} // closed when the program has ended
	heard           chan struct{} // closed when stderr has ended

	mu   sync.Mutex
	last string // line of stderr
}

// killAfter is how long a program may take to end when asked to.
const killAfter = time.Second

// startProxyCommand runs h's ProxyCommand by the user's shell, as OpenSSH does.
func startProxyCommand(h *host, log *slog.Logger) (*commandConn, error) {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	command := strings.NewReplacer("%%", "%", "%h", h.HostName, "%p", h.Port, "%r", h.User, "%n", h.Alias).Replace(h.ProxyCommand)
	return startProgram("ProxyCommand", exec.Command(shell, "-c", "exec "+command), false, log)
}

// startProgram starts cmd with pipes to it. It has a process group of its own:
// so Close can end all of it, and a Ctrl-C does not take the tunnel away from
// requests that are being finished. But then it cannot ask at the terminal: one
// that may have to stays in our group, and has to leave Ctrl-C to us.
func startProgram(name string, cmd *exec.Cmd, atTerminal bool, log *slog.Logger) (*commandConn, error) {
	c := &commandConn{name: name, cmd: cmd, atTerminal: atTerminal, ended: make(chan struct{}), heard: make(chan struct{})}
	var theirs [3]*os.File
	var err error
	for i, ours := range []**os.File{&c.in, &c.out, &c.stderr} {
		r, w, e := os.Pipe()
		if i == 0 {
			theirs[i], *ours = r, w
		} else {
			*ours, theirs[i] = r, w
		}
		err = errors.Join(err, e)
	}
	if err == nil {
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs[0], theirs[1], theirs[2]
		if !atTerminal && c.cmd.SysProcAttr == nil {
			ownGroup(c.cmd)
		}
		err = c.cmd.Start()
	}
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		c.closePipes()
		return nil, err
	}
	go c.readErrors(log) // ends with the pipe, which Close closes
	go func() {          // ends with the program, which Close sees to
		defer close(c.ended)
		_ = c.cmd.Wait()
		if !atTerminal {
			killGroup(c.cmd) // what it left behind
		}
	}()
	return c, nil
}

// readErrors logs what the program says.
func (c *commandConn) readErrors(log *slog.Logger) {
	defer close(c.heard)
	lines := bufio.NewReader(c.stderr)
	for {
		line, err := lines.ReadSlice('\n')
		if text := relay.Printable(string(line), 300); text != "" {
			c.mu.Lock()
			c.last = text
			c.mu.Unlock()
			log.Info(c.name, "said", text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// death tells why the program ended, nil if it still runs.
func (c *commandConn) death() error {
	// Its output ends a little before it does.
	soon, cancel := context.WithTimeout(context.Background(), killAfter)
	defer cancel()
	select {
	case <-c.ended:
	case <-soon.Done():
		return nil
	}
	select {
	case <-c.heard:
	case <-soon.Done(): // what it left behind holds its stderr open
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == "" {
		return fmt.Errorf("its %s ended (%s)", c.name, c.cmd.ProcessState)
	}
	return fmt.Errorf("its %s ended (%s): %s", c.name, c.cmd.ProcessState, c.last)
}

// Close ends the program and what it started, and waits for it.
func (c *commandConn) Close() error {
	c.close.Do(func() {
		c.CloseWrite() // the polite way: end of input
		late := time.NewTimer(killAfter)
		defer late.Stop()
		select {
		case <-c.ended:
		default:
			stop, kill := stopGroup, killGroup
			if c.atTerminal {
				stop, kill = stopOne, killOne
			}
			stop(c.cmd)
			select {
			case <-c.ended:
			case <-late.C:
				kill(c.cmd)
				<-c.ended
			}
		}
		// Its last words may still be in the pipe; but what left the group, as
		// an ssh that stays for ControlPersist does, can hold that open.
		late.Reset(killAfter)
		select {
		case <-c.heard:
		case <-late.C:
		}
		c.closePipes()
		<-c.heard
	})
	return nil
}

// CloseWrite ends the program's input.
func (c *commandConn) CloseWrite() error {
	c.closeIn.Do(func() { c.in.Close() })
	return nil
}

func (c *commandConn) closePipes() {
	for _, f := range []*os.File{c.in, c.out, c.stderr} {
		f.Close()
	}
}

func (c *commandConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *commandConn) Write(p []byte) (int, error) { return c.in.Write(p) }

// The addresses are none, in the form of one.
func (c *commandConn) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4zero} }
func (c *commandConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

func (c *commandConn) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *commandConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }
func (c *commandConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
