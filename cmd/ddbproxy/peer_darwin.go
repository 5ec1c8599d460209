package main

import "golang.org/x/sys/unix"

// uidAt asks by LOCAL_PEERCRED (unix(4)).
func uidAt(fd int) (int, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
