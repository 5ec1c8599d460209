//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// private reports whether a directory is this user's and closed to others.
func private(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 == 0
}

// sameOwner gives a file the owner and group that another has, which takes root
// where they are not ours already.
func sameOwner(as fs.FileInfo, name string) error {
	stat, ok := as.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() && int(stat.Gid) == os.Getegid() {
		return nil
	}
	err := os.Chown(name, int(stat.Uid), int(stat.Gid))
	if os.Geteuid() != 0 && int(stat.Uid) == os.Geteuid() {
		return nil // only the group is lost
	}
	return err
}

// othersWrite reports whether somebody else can change a file: it is not ours and
// not root's, or open to all. Groups are left out: many systems give each user one.
func othersWrite(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(stat.Uid) != os.Getuid() && stat.Uid != 0 || info.Mode().Perm()&0o002 != 0)
}

// lockDir keeps others of our own kind from changing files in a directory until
// unlock.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
