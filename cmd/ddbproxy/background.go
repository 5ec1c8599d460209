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
)

// startInBackground runs this command line once more, apart from the terminal,
// and returns when that has a session. What it says goes to a file, which is
// shown up to then; it can ask nothing.
func startInBackground(ctx context.Context, c *console) error {
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
		c.print(string(said))
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return &exitError{code: exit.ExitCode()}
		}
		return err
	}
	c.tell("%s", bytes.TrimSpace(url))
	c.print(string(said))
	info := sessionInfo{URL: strings.TrimSpace(string(url))}
	if err := os.Rename(log.Name(), logFile(dirs[0], info.port())); err != nil { // Windows holds on to a file that is open
		c.say("ddbproxy: ddbproxy logs will not find what it says: %v", err)
	}
	return nil
}

// logFile is where the session in the background on a port writes.
func logFile(dir, port string) string { return filepath.Join(dir, "port-"+port+".log") }
