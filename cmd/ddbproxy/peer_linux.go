package main

import "golang.org/x/sys/unix"

// uidAt asks by SO_PEERCRED (unix(7)).
func uidAt(fd int) (int, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
