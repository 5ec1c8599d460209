//go:build unix

package tunnel

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes cmd the leader of a new process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// noTerminal keeps cmd from our terminal, in a new session and so a new group.
// In a group alone an ssh that wants to ask would be stopped there and never
// end; like this it says that it was not let in. It is not to ask in a window
// instead, unless that was asked for.
func noTerminal(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return // nothing changes for it
	}
	tty.Close()
	if os.Getenv("SSH_ASKPASS_REQUIRE") == "" {
		cmd.Env = append(os.Environ(), "SSH_ASKPASS_REQUIRE=never")
	}
}

// stopGroup asks the group to end. The leader's pid names the group until all
// of it has ended.
func stopGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

func stopOne(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }

func killOne(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
