package main

import (
	"os"
	"runtime/debug"
)

// logLimit is how long the log of a session in the background gets, in bytes,
// before another is begun. The one before is kept.
const logLimit = 4 << 20

// boundedLog is a log file that begins anew when it is full. Its user allows one
// Write at a time.
type boundedLog struct {
	file  *os.File
	name  string // where it is
	limit int64
	size  int64
}

// oldLog is where the log lies that was full.
func oldLog(name string) string { return name + ".old" }

func (l *boundedLog) Write(p []byte) (int, error) {
	if l.size += int64(len(p)); l.size > l.limit {
		l.size = int64(len(p))
		l.begin()
	}
	return l.file.Write(p)
}

// begin goes on in a new file; where none can be made, in the same for as long
// again.
func (l *boundedLog) begin() {
	if os.Rename(l.name, oldLog(l.name)) != nil { // Windows holds on to a file that is open
		return
	}
	next, err := os.OpenFile(l.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_ = debug.SetCrashOutput(next, debug.CrashOptions{}) // else it is in standard error's file only, which goes
	l.file.Close()
	l.file = next
}
