//go:build !linux && !darwin

package main

import (
	"net"
	"os"
)

// peerUID takes everyone for us: Windows tells of no user at the other end of a
// unix socket, and keeps others out of the directory by its access list.
func peerUID(*net.UnixConn) (uid int, err error) { return os.Getuid(), nil }
