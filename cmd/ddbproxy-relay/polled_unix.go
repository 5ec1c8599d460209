//go:build unix

package main

import (
	"os"
	"syscall"
)

// polled lets f wait in the runtime's poller where it is a pipe or a socket, as
// under sshd, so that a full pipe holds up no thread, and with it the only
// processor. A terminal is shared with others, and stays as it is.
func polled(f *os.File) *os.File {
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return f
	}
	fd := f.Fd()
	if syscall.SetNonblock(int(fd), true) != nil {
		return f
	}
	return os.NewFile(fd, f.Name())
}
