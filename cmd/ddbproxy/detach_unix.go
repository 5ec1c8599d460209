//go:build unix

package main

import (
	"os"
	"syscall"
)

// detached has a process in a session without a terminal, whose end it outlives.
var detached = &syscall.SysProcAttr{Setsid: true}

// endProcess asks a process to end in good order.
func endProcess(p *os.Process) { _ = p.Signal(syscall.SIGTERM) } // it may have ended
