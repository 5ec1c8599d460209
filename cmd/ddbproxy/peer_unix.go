//go:build linux || darwin

package main

import (
	"errors"
	"net"
)

// peerUID is the user at the other end of a unix socket, as the kernel knows it.
func peerUID(conn *net.UnixConn) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { uid, failed = uidAt(int(fd)) })
	return uid, errors.Join(err, failed)
}
