package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is four of the largest frames of HTTP/2. A pipe of Linux holds 64 KiB
// otherwise, less than one, and relay and sshd would take turns for each.
const pipeSize = 256 << 10

// polled lets f wait in the runtime's poller where it is a pipe or a socket, as
// under sshd, so that a full pipe holds up no thread, and with it the only
// processor. A terminal is shared with others, and stays as it is.
func polled(f *os.File) *os.File {
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return f
	}
	fd := f.Fd()
	if unix.SetNonblock(int(fd), true) != nil {
		return f
	}
	// Refused to who has many pipes, and for sockets: it is as it was then.
	_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize)
	return os.NewFile(fd, f.Name())
}
