package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that the lab itself runs. It dies with this process,
// however that ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it is gone and its output is read
	err  error         // how it ended, once done
}

// start runs cmd inside ns, or on the host if that is nil. The thread that
// starts it waits for it as well: the kernel ends a child with Pdeathsig when
// its parent's thread goes, not its process.
func start(home *os.File, ns *namespace, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		onThread(home, func() error {
			if ns != nil {
				if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
					started <- err
					return err
				}
			}
			err := cmd.Start()
			started <- err
			if err == nil {
				p.err = cmd.Wait()
			}
			return err
		})
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// end sends sig and waits until the process is gone.
func (p *process) end(sig os.Signal) {
	p.cmd.Process.Signal(sig)
	<-p.done
}

// running reports whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// inNetwork matches processes whose network namespace is the given one. Only
// this process can have put them there. It does not match this process, whose
// threads come and go.
func inNetwork(inode uint64) func(pid int) bool {
	return func(pid int) bool {
		return pid != os.Getpid() && namespaceOf(pid, "net") == inode
	}
}

// namespaceOf returns the inode of a process's namespace, or 0 if the process
// is gone.
func namespaceOf(pid int, kind string) uint64 {
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/ns/%s", pid, kind), &st) != nil {
		return 0
	}
	return st.Ino
}

// killAll ends all processes that match, and those they start meanwhile, and
// waits until they are gone.
func killAll(match func(pid int) bool) error {
	// Each round leaves at most the children of the one before.
	for range 10 {
		pids, err := processes(match)
		if err != nil || len(pids) == 0 {
			return err
		}
		var errs []error
		for _, pid := range pids {
			errs = append(errs, kill(pid, match))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return errors.New("processes in the lab keep coming")
}

func processes(match func(pid int) bool) ([]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, path := range paths {
		if pid, err := strconv.Atoi(filepath.Base(path)); err == nil && match(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// kill ends one process and waits up to 10 s for it. It looks again once it
// holds the process, whose id might be another's by now.
func kill(pid int, match func(pid int) bool) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(fd)
	if !match(pid) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return nil
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		wait := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(int(wait.Milliseconds()), 0))
		switch {
		case n > 0:
			return nil
		case err == nil || !errors.Is(err, unix.EINTR):
			return fmt.Errorf("process %d does not end", pid)
		}
	}
}
