//go:build !unix

package tunnel

import "os/exec"

// There are no process groups here: the program itself is ended.
func ownGroup(*exec.Cmd) {}

func noTerminal(*exec.Cmd) {}

func stopGroup(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func stopOne(*exec.Cmd) {}

func killOne(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
