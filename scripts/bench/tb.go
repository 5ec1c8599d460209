//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// standIn is what the lab has in place of a test.
type standIn struct{ cleanups []func() }

var _ lab.TB = (*standIn)(nil)

// fatal is what Fatalf panics with, up to inLab.
type fatal string

func (t *standIn) Helper()                           {}
func (t *standIn) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *standIn) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (t *standIn) Fatalf(format string, args ...any) { panic(fatal(fmt.Sprintf(format, args...))) }
func (t *standIn) Skipf(format string, args ...any)  { t.Fatalf(format, args...) }

// inLab runs f and then all clean-ups, the last first.
func inLab(f func(*standIn) error) (err error) {
	t := &standIn{}
	defer func() {
		for _, clean := range slices.Backward(t.cleanups) {
			clean()
		}
	}()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case fatal:
			err = fmt.Errorf("%s", string(p))
		default:
			panic(p)
		}
	}()
	return f(t)
}
