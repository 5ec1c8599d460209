package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Whoever follows the log reads all of it, though it begins anew in between;
// what is kept stays within its bounds.
func TestLogBeginsAnewAndIsFollowed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "port-8000.log")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	log := &boundedLog{file: file, name: name, limit: 100}
	read, following := &shared{grown: make(chan struct{}, 1)}, sync.WaitGroup{}
	ctx, cancel := context.WithCancel(t.Context())
	following.Go(func() {
		if err := show(ctx, read, name, true); err != nil {
			t.Error(err)
		}
	})
	var want strings.Builder
	for i := range 100 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if _, err := log.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		for i%10 == 9 && read.String() != want.String() { // a reader may be one file behind, not two
			<-read.grown
		}
	}
	cancel()
	following.Wait()
	if read.String() != want.String() {
		t.Errorf("read %q, want all of it", read)
	}
	kept := &strings.Builder{}
	if err := show(t.Context(), kept, name, false); err != nil || !strings.HasSuffix(want.String(), kept.String()) || kept.Len() < 100 || kept.Len() > 200 {
		t.Errorf("%d bytes are kept, %v: %q, want the last 100 to 200", kept.Len(), err, kept)
	}
	for _, name := range []string{name, oldLog(name)} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want it for this user alone", name, info, err)
		}
	}
	log.file.Close()
}

// shared is a buffer that tells when it has grown.
type shared struct {
	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{}
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.grown <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
