package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/term"
)

// console is where the program talks to a person. What a script would read
// goes to out; everything else goes to err and begins with "ddbproxy: ".
type console struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	// hurry ends with a second signal: whatever drains stops at once.
	hurry context.Context

	mu       sync.Mutex // one line at a time
	question sync.Mutex // one question at a time; lines may come in between
}

// say prints a line for a person.
func (c *console) say(format string, args ...any) { c.print(fmt.Sprintf(format, args...) + "\n") }

// tell prints a line of what was asked for.
func (c *console) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format+"\n", args...)
}

func (c *console) print(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	io.WriteString(c.err, text)
}

// bound keeps what is said from now on from growing without end, where it goes
// to the log of the session in the background on a port.
func (c *console) bound(port string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dirs, err := runtimeDirs()
	if file, ok := c.err.(*os.File); ok && err == nil {
		c.err = &boundedLog{file: file, name: logFile(dirs[0], port), limit: logLimit}
	}
}

// interactive reports whether err is a terminal.
func (c *console) interactive() bool {
	f, ok := c.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress shows an upload in one line that overwrites itself.
func (c *console) progress(done, total int64) {
	if !c.interactive() {
		if done == total {
			c.say("ddbproxy: relay sent (%.1f MB)", float64(total)/1e6) // whether it can run there is not known yet
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.err, "\rddbproxy: uploading the relay: %.1f of %.1f MB", float64(done)/1e6, float64(total)/1e6)
	if done == total {
		fmt.Fprintln(c.err)
	}
}

// terminal asks questions on the controlling terminal, as ssh does, also when
// standard input is something else.
type terminal struct {
	console *console
	tty     *os.File
}

// openTerminal gives the controlling terminal, nil if there is none or if
// neither what is read nor what is shown is at a terminal: a script that runs
// in one is not to be stopped by a question.
func openTerminal(c *console) *terminal {
	in, ok := c.in.(*os.File)
	if !c.interactive() && !(ok && term.IsTerminal(int(in.Fd()))) {
		return nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		if ok && term.IsTerminal(int(in.Fd())) { // Windows
			return &terminal{c, in}
		}
		return nil
	}
	return &terminal{c, tty}
}

var errInterrupted = errors.New("interrupted")

// Ask implements tunnel.Prompter.
func (t *terminal) Ask(ctx context.Context, question string, secret bool) (string, error) {
	t.console.question.Lock()
	defer t.console.question.Unlock()
	fd := int(t.tty.Fd())
	t.console.print(question)
	if secret {
		state, err := term.GetState(fd)
		if err == nil {
			// Without this a Ctrl-C would leave the terminal without echo.
			defer term.Restore(fd, state)
		}
	}
	type reply struct {
		text string
		err  error
	}
	answered := make(chan reply, 1)
	go func() { // a read of a terminal cannot be taken back: it ends with the process
		if secret {
			text, err := term.ReadPassword(fd)
			answered <- reply{string(text), err}
			return
		}
		text, err := bufio.NewReader(t.tty).ReadString('\n')
		answered <- reply{text, err}
	}()
	select {
	case r := <-answered:
		if secret {
			t.console.print("\n")
		}
		return r.text, r.err
	case <-ctx.Done():
		t.console.print("\n")
		return "", errInterrupted
	}
}

// self is how a person calls this program in another shell.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "ddbproxy"
	}
	if found, err := exec.LookPath("ddbproxy"); err == nil && sameFile(found, path) {
		return "ddbproxy"
	}
	if strings.ContainsAny(path, " '\"$`\\") {
		return shellQuote(path)
	}
	return path
}
