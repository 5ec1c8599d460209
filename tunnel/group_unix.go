//go:build unix

package tunnel

import (
	"os/exec"
	"syscall"
)

// ownGroup makes cmd the leader of a new process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// stopGroup asks the group to end. The leader's pid names the group until all
// of it has ended.
func stopGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

func stopOne(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }

func killOne(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
