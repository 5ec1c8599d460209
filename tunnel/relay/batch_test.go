package relay

import (
	"bytes"
	"errors"
	"fmt"
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

// A quickWriter notes when pieces were written, and how long they were.
type quickWriter struct {
	slowWriter
	start time.Time
	wrote []string
}

func (w *quickWriter) Write(p []byte) (int, error) {
	w.wrote = append(w.wrote, fmt.Sprintf("%v:%d", time.Since(w.start), len(p)))
	return len(p), nil
}

// After a pause few segments may be under way, so small pieces share them.
func TestBatchSavesSegmentsAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &quickWriter{start: time.Now()}
		b := newBatch(w)
		go b.run()
		for _, piece := range []struct {
			at   string
			size int
		}{
			{"1s", 100}, {"1.0001s", 100}, {"1.0002s", 100}, // together, the first but
			{"1.002s", segment}, {"1.0021s", segment}, // a segment each
			{"1.003s", 100}, {"1.005s", 100}, // longer together
			{"1.04s", 100}, {"1.0401s", 100}, // long under way
			{"1.241s", 100}, {"1.2411s", 100}, // a pause again
			{"1.6s", 10}, {"1.64s", 100}, {"1.6401s", 100}, {"1.6402s", 100}, // a ping is none
			// Never later than the outset lasts.
			{"2s", 50}, {"2.0001s", 50}, {"2.002s", 50}, {"2.005s", 50}, {"2.0161s", 50}, {"2.02s", 50}, {"2.0251s", 50},
		} {
			at, err := time.ParseDuration(piece.at)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(w.start.Add(at)))
			b.Write(make([]byte, piece.size))
			synctest.Wait()
		}
		time.Sleep(time.Second)
		b.Close()
		want := "1s:100 1.001s:200 1.002s:1400 1.0021s:1400 1.0041s:100 1.0081s:100 1.04s:100 1.0401s:100 1.241s:100 1.242s:100 1.6s:10 1.64s:100 1.641s:200" +
			" 2s:50 2.001s:50 2.003s:50 2.007s:50 2.0161s:50 2.025s:50 2.0251s:50"
		if got := strings.Join(w.wrote, " "); got != want {
			t.Errorf("wrote %s\nwant  %s", got, want)
		}
	})
}

func TestBatchThatIsClosedWhileItWaitsWritesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &quickWriter{start: time.Now()}
		b := newBatch(w)
		ended := make(chan struct{})
		go func() {
			b.run()
			close(ended)
		}()
		for range 2 {
			b.Write([]byte("a"))
			synctest.Wait()
		}
		b.Close()
		if <-ended; len(w.wrote) != 1 {
			t.Errorf("wrote %q, want one piece", w.wrote)
		}
	})
}
