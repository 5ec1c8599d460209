//go:build unix

package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// detached has a process in a session without a terminal, whose end it outlives.
var detached = &syscall.SysProcAttr{Setsid: true}

// endProcess asks a process to end in good order.
func endProcess(p *os.Process) { _ = p.Signal(syscall.SIGTERM) } // it may have ended

// passedOn are the signals that exec gives to its command.
var passedOn = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// inForeground reports whether the keys of our terminal interrupt us, and with us
// the commands that we run.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
