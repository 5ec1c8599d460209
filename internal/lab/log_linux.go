package lab

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// log keeps what a program prints, for those who wait for a certain text.
type log struct {
	mu     sync.Mutex
	text   strings.Builder
	change chan struct{} // closed at the next write; nil if nobody waits
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.change != nil {
		close(l.change)
		l.change = nil
	}
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// wait returns once text was printed after the first from bytes. It fails when
// ctx or the program ends without; a nil ended never does.
func (l *log) wait(ctx context.Context, ended <-chan struct{}, from int, text string) error {
	for {
		found, change := l.find(from, text)
		if found {
			return nil
		}
		select {
		case <-change:
		case <-ended:
			// Its last words are in the log by now.
			if found, _ := l.find(from, text); found {
				return nil
			}
			return fmt.Errorf("it ended without %q in its log", text)
		case <-ctx.Done():
			return fmt.Errorf("no %q in the log: %w", text, ctx.Err())
		}
	}
}

// find looks for text and, if it is not there, returns what the next write
// closes.
func (l *log) find(from int, text string) (bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(l.text.String()[from:], text) {
		return true, nil
	}
	if l.change == nil {
		l.change = make(chan struct{})
	}
	return false, l.change
}
