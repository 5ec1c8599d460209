package main

import "github.com/landlock-lsm/go-landlock/landlock"

// Rights of linux/landlock.h.
const (
	readFile landlock.AccessFSSet = 1 << 2
	readDir  landlock.AccessFSSet = 1 << 3
)

// confine has the kernel refuse what a relay never does, as far as it can (Landlock;
// files since Linux 5.13, TCP since 6.7): to write or run a file, to listen, and to
// connect to another port than AWS's, that of the instance's metadata (for ddbproxy
// doctor) and, where UDP is too small for an answer, DNS's.
func confine() error {
	return landlock.V5.BestEffort().Restrict(
		landlock.PathAccess(readFile|readDir, "/"),
		landlock.ConnectTCP(443), landlock.ConnectTCP(80), landlock.ConnectTCP(53),
	)
}
