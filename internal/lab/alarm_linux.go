package lab

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes one goroutine at a set time. Go's own timers are up to 1 ms late
// on an idle process, because the poller that they sleep in counts whole
// milliseconds; a timerfd wakes that same poller on time.
type alarm struct {
	file *os.File
	raw  syscall.RawConn
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "timerfd")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &alarm{file: f, raw: raw}, nil
}

// set makes wait return after d, in place of any earlier setting.
func (a *alarm) set(d time.Duration) {
	// Zero would disarm it.
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	a.raw.Control(func(fd uintptr) { unix.TimerfdSettime(int(fd), 0, &spec, nil) })
}

// wait blocks until the set time has come; it fails once the alarm is closed.
func (a *alarm) wait() error {
	var count [8]byte
	_, err := a.file.Read(count[:])
	return err
}

func (a *alarm) close() error { return a.file.Close() }
