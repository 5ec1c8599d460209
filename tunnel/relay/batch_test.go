package relay

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowWriter takes a second for each piece, and remembers it.
type slowWriter struct {
	pieces []string
	err    error
}

func (w *slowWriter) Read([]byte) (int, error) { return 0, io.EOF }
func (w *slowWriter) Close() error             { return nil }
func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Second)
	if w.err != nil {
		return 0, w.err
	}
	w.pieces = append(w.pieces, string(p))
	return len(p), nil
}

// What is small and comes while something is written goes out in one piece; what is
// large goes by itself, behind what came before it.
func TestBatchGathersWhatIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{}
		b := newBatch(w)
		go b.run()
		large := strings.Repeat("x", largeWrite)
		want := []string{"a", "bcd", large, "ef", large, large}
		p := make([]byte, largeWrite)
		for _, piece := range []string{"a", "b", "c", "d", large, "e", "f", large, large} {
			n := copy(p, piece)
			if n, err := b.Write(p[:n]); n != len(piece) || err != nil {
				t.Fatalf("Write = %d, %v, want %d", n, err, len(piece))
			}
			clear(p) // it may be used again
			if piece == "a" {
				synctest.Wait()
			}
		}
		b.Close()
		if strings.Join(w.pieces, "|") != strings.Join(want, "|") {
			t.Errorf("%d pieces were written, want %d: %.200q", len(w.pieces), len(want), w.pieces)
		}
	})
}

func TestBatchHoldsSoMuchAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{}
		b := newBatch(w)
		go b.run()
		piece := bytes.Repeat([]byte("x"), 4<<10)
		b.Write(piece)
		synctest.Wait() // it is being written
		start := time.Now()
		for range maxBatch / len(piece) {
			b.Write(piece)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("%d bytes waited %v", maxBatch, took)
		}
		if b.Write(piece); time.Since(start) != time.Second {
			t.Errorf("one more waited %v, want a second", time.Since(start))
		}
		b.Close()
		time.Sleep(time.Second)
	})
}

func TestBatchTellsOfItsErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int{1, largeWrite} {
		synctest.Test(t, func(t *testing.T) {
			b := newBatch(&slowWriter{err: broken})
			ended := make(chan struct{})
			go func() {
				b.run()
				close(ended)
			}()
			if _, err := b.Write(make([]byte, size)); size == largeWrite && err != broken {
				t.Errorf("Write of %d bytes: %v, want %v", size, err, broken)
			}
			<-ended
			for _, size := range []int{1, largeWrite} {
				if n, err := b.Write(make([]byte, size)); n != 0 || err != broken {
					t.Errorf("Write of %d bytes afterwards = %d, %v, want %v", size, n, err, broken)
				}
			}
		})
		synctest.Test(t, func(t *testing.T) {
			b := newBatch(&slowWriter{})
			b.Close()
			b.run()
			if n, err := b.Write(make([]byte, size)); n != 0 || err != io.ErrClosedPipe {
				t.Errorf("Write of %d bytes after Close = %d, %v", size, n, err)
			}
		})
	}
}

// Who waits for room, or for his turn, is let go by Close.
func TestClosedBatchKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := io.Pipe() // nobody reads
		defer near.Close()
		b := newBatch(struct {
			io.Reader
			io.WriteCloser
		}{near, far})
		go b.run()
		b.Write([]byte("a"))
		synctest.Wait()
		waited := make(chan error)
		go func() {
			_, err := b.Write(make([]byte, largeWrite))
			waited <- err
		}()
		synctest.Wait()
		b.Close()
		if err := <-waited; err != io.ErrClosedPipe {
			t.Errorf("Write = %v, want %v", err, io.ErrClosedPipe)
		}
	})
}
