package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// inBackground gives the session that o asks for: the one that runs already, or
// a new one.
func (o *connectOptions) inBackground(ctx context.Context, c *console) error {
	if err := o.check(); err != nil {
		return err
	}
	w, err := wanted(ctx, o.profileNames()[0])
	if err != nil {
		return err
	}
	if len(o.listen) == 0 {
		o.listen = []string{defaultPort}
	}
	already := func() (bool, error) {
		s, err := o.find(ctx, w)
		if s == nil || err != nil {
			return false, err
		}
		c.tell("%s", s.URL)
		c.say("ddbproxy: this session was there already; ddbproxy disconnect ends it")
		return true, nil
	}
	if found, err := already(); found || err != nil {
		return err
	}
	return startInBackground(ctx, c, already)
}

// lookTwice is how long a session may have its port before it can be asked.
const lookTwice = time.Second

// startInBackground runs this command line once more, apart from the terminal,
// and returns when that has a session. What it says goes to a file, which is
// shown up to then; it can ask nothing. Where its port is taken, already tells
// whether by another that was begun at the same time.
func startInBackground(ctx context.Context, c *console, already func() (bool, error)) error {
	program, err := ownPath()
	if err != nil {
		return err
	}
	dirs, err := runtimeDirs()
	if err != nil {
		return err
	}
	log, err := os.CreateTemp(dirs[0], "starting-*.log") // mode 0600
	if err != nil {
		return err
	}
	defer log.Close()
	defer os.Remove(log.Name()) // unless it got its name
	args := slices.Clone(os.Args[1:])
	child := exec.Command(program, slices.Insert(args, slices.Index(args, "connect")+1, "--detached")...)
	child.Stderr = log
	child.SysProcAttr = detached
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { endProcess(child.Process) })
	defer stop()
	url, err := io.ReadAll(out) // it closes its end when it has said everything
	if err != nil {
		return err
	}
	said, err := os.ReadFile(log.Name())
	if err != nil {
		return err
	}
	if len(url) == 0 {
		err := child.Wait()
		var exit *exec.ExitError
		ended := errors.As(err, &exit)
		for start := time.Now(); ended && exit.ExitCode() == exitPort && time.Since(start) < lookTwice; time.Sleep(lookAgain) {
			if found, err := already(); found || err != nil {
				return err
			}
		}
		c.print(string(said))
		if ended {
			return &exitError{code: exit.ExitCode()}
		}
		return err
	}
	c.tell("%s", bytes.TrimSpace(url))
	c.print(string(said))
	info := sessionInfo{URL: strings.TrimSpace(string(url))}
	name := logFile(dirs[0], info.port())
	if err := os.Rename(log.Name(), name); err != nil { // Windows holds on to a file that is open
		c.say("ddbproxy: ddbproxy logs will not find what it says: %v", err)
	}
	_ = os.Remove(oldLog(name)) // of another session, if there is one
	return nil
}

// logFile is where the session in the background on a port writes.
func logFile(dir, port string) string { return filepath.Join(dir, "port-"+port+".log") }
