package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// detached has a process without a console, whose end it outlives.
var detached = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}

// endProcess ends a process; Windows has no way to ask one without a console.
func endProcess(p *os.Process) { _ = p.Kill() } // it may have ended

// passedOn are the signals that exec gives to its command.
var passedOn = []os.Signal{os.Interrupt}

// inForeground reports whether Ctrl-C interrupts the commands that we run too.
func inForeground() bool { return true }
