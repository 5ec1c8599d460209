//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// private reports whether a directory is this user's and closed to others.
func private(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 == 0
}
