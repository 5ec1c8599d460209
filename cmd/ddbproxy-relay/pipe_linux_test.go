package main

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// held are two files of one descriptor, as standard output is in the relay: neither
// is ever closed, lest one close what the other's number has become.
var held [2]*os.File

// Large frames fit into the pipe to sshd, and what does not waits in the poller.
func TestPipeHoldsSeveralFrames(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd := int(w.Fd()) // later it would have w block again
	out := polled(w)
	held = [...]*os.File{w, out}
	if n, err := out.Write(make([]byte, pipeSize)); n != pipeSize || err != nil {
		t.Fatalf("wrote %d bytes, error %v, want %d while nobody reads", n, err, pipeSize)
	}
	if n, err := unix.Write(fd, make([]byte, 1)); err != unix.EAGAIN {
		t.Errorf("wrote %d bytes more, error %v, want %v", n, err, unix.EAGAIN)
	}
}

// A file is shared with others: it stays as it is.
func TestFileIsLeftAlone(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if polled(f) != f {
		t.Error("a file is opened once more")
	}
}
