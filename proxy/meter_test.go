package proxy

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// arriving is a body whose bytes come at a rate, beginning some time after the header, whether or not they are read.
type arriving struct {
	start time.Time
	rate  float64 // bytes a second
	size  int64
	read  int64
}

func (a *arriving) Read(p []byte) (int, error) {
	if a.read == a.size {
		return 0, io.EOF
	}
	next := min(a.read+16<<10, a.size) // a TLS record
	time.Sleep(time.Until(a.start.Add(time.Duration(float64(next) / a.rate * float64(time.Second)))))
	there := min(int64(time.Since(a.start).Seconds()*a.rate)+1, a.size) // +1 for what rounding takes
	n := min(int64(len(p)), max(there-a.read, next-a.read))
	a.read += n
	return int(n), nil
}

func (a *arriving) Close() error { return nil }

// a traffic is some answers at the same time, one after the other in each of the callers.
type traffic struct {
	callers, answers int
	size             int64
	rate             float64       // of the link, shared
	think            time.Duration // between header and body
	pause            time.Duration // of a caller, after each 32 KiB
	coding           string
}

// run has m watch the traffic.
func (w traffic) run(m *meter) {
	var callers sync.WaitGroup
	for range w.callers {
		callers.Go(func() {
			for range w.answers {
				resp := &http.Response{Header: http.Header{}, ContentLength: w.size,
					Body: &arriving{start: time.Now().Add(w.think), rate: w.rate / float64(w.callers), size: w.size}}
				if w.coding != "" {
					resp.Header.Set("Content-Encoding", w.coding)
				}
				m.watch(resp, false)
				buf := make([]byte, 32<<10)
				for {
					if _, err := resp.Body.Read(buf); err != nil {
						break
					}
					time.Sleep(w.pause)
				}
				resp.Body.Close()
			}
		})
	}
	callers.Wait()
}

func TestMeterTellsWhatTheLinkIsLike(t *testing.T) {
	t.Parallel()
	const page = 1 << 20
	for _, tt := range []struct {
		name    string
		traffic traffic
		want    [2]bool // slow afterwards, if not slow before, and if slow before
	}{
		{"a slow link", traffic{1, 2, page, 2.5e6, 0, 0, ""}, [2]bool{true, true}},
		{"a fast link", traffic{1, 2, page, 50e6, 0, 0, ""}, [2]bool{false, false}},
		{"between the two", traffic{1, 8, page, 9e6, 0, 0, ""}, [2]bool{false, true}},
		{"a fast link that eight share", traffic{8, 2, page, 40e6, 0, 0, ""}, [2]bool{false, false}},
		{"a slow link that eight share", traffic{8, 2, page, 4e6, 0, 0, ""}, [2]bool{true, true}},
		{"a fast link, a slow caller", traffic{1, 2, page, 50e6, 0, 20 * time.Millisecond, ""}, [2]bool{false, true}},
		{"a slow link, a slower caller", traffic{1, 2, page, 2.5e6, 0, 60 * time.Millisecond, ""}, [2]bool{false, true}},
		{"DynamoDB thinks before the first byte", traffic{1, 2, page, 50e6, 2 * time.Second, 0, ""}, [2]bool{false, false}},
		{"DynamoDB thinks, the link is slow", traffic{1, 2, page, 2.5e6, 2 * time.Second, 0, ""}, [2]bool{true, true}},
		{"small answers over a slow link", traffic{4, 100, 4 << 10, 1e5, 0, 0, ""}, [2]bool{false, true}},
		{"a caller's own gzip over a slow link", traffic{1, 4, page, 2.5e6, 0, 0, "gzip"}, [2]bool{false, true}},
		{"a caller's own gzip over a fast link", traffic{1, 4, page, 50e6, 0, 0, "gzip"}, [2]bool{false, true}},
	} {
		for i, slow := range []bool{false, true} {
			t.Run(tt.name+map[bool]string{false: "", true: ", slow before"}[slow], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m := &meter{log: slog.New(slog.DiscardHandler), slow: slow}
					tt.traffic.run(m)
					if got := m.isSlow(); got != tt.want[i] {
						t.Errorf("slow = %v, want %v: %+v", got, tt.want[i], m.past)
					}
					if m.open != 0 || m.waiting != 0 {
						t.Errorf("%d answers are open and %d waited for, after all", m.open, m.waiting)
					}
				})
			})
		}
	}
}

func TestMeterCountsCompressedBytesBesideAPlainAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &meter{log: slog.New(slog.DiscardHandler), slow: true}
		var both sync.WaitGroup
		both.Go(func() { traffic{7, 4, 1 << 20, 35e6, 0, 0, "gzip"}.run(m) })
		both.Go(func() { traffic{1, 4, 1 << 20, 5e6, 0, 0, ""}.run(m) })
		both.Wait()
		if m.isSlow() {
			t.Errorf("slow, because a plain answer had an eighth of the link: %+v", m.past)
		}
	})
}

func TestMeterProbesAtAShareOfTheAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		m := &meter{log: slog.New(slog.NewTextHandler(&log, nil))}
		page := traffic{callers: 1, answers: 1, size: 1 << 20, rate: 1 << 20}
		for _, packed := range []int{1, 16, 64, 64} {
			page.run(m)
			if !m.isSlow() || m.takeProbe() {
				t.Fatalf("slow = %v after a page in 1 s, and a probe is due if so", m.isSlow())
			}
			time.Sleep(time.Hour)
			traffic{callers: 1, answers: 100, size: 4 << 10, rate: 1 << 20}.run(m)
			traffic{callers: 1, answers: 100, size: 4 << 10, rate: 1 << 20, coding: "gzip"}.run(m)
			traffic{callers: 1, answers: packed - 1, size: 200 << 10, rate: 1 << 20, coding: "gzip"}.run(m)
			if m.takeProbe() {
				t.Errorf("a probe is due before %d compressed pages came", packed)
			}
			traffic{callers: 1, answers: 1, size: 200 << 10, rate: 1 << 20, coding: "gzip"}.run(m)
			if !m.takeProbe() {
				t.Errorf("no probe is due after %d compressed pages", packed)
			}
			if m.takeProbe() {
				t.Error("two callers are probes at the same time")
			}
		}
		page.rate = 50 << 20
		page.run(m)
		if page.run(m); m.isSlow() {
			t.Errorf("slow after two fast pages: %+v", m.past)
		}
		for _, want := range []string{`"answers arrive slowly: AWS is asked for gzip" rate="1.0 MB/s"`, `"answers arrive fast: AWS is not asked for gzip any more" rate=`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("log = %s, want %s", log.String(), want)
			}
		}
	})
}

func TestMeterAsksForAnotherProbeAfterASmallOne(t *testing.T) {
	t.Parallel()
	m := &meter{log: slog.New(slog.DiscardHandler), slow: true}
	for range 3 {
		if !m.takeProbe() {
			t.Fatal("no probe is due although none told anything")
		}
		m.watch(&http.Response{ContentLength: 4 << 10, Body: http.NoBody}, true)
	}
	m.takeProbe()
	m.watch(&http.Response{ContentLength: 4 << 10, Body: http.NoBody}, false)
	if m.takeProbe() {
		t.Error("a small answer that was none ended the wait for a probe")
	}
}

func TestMeterEndsAProbeThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &meter{log: slog.New(slog.DiscardHandler), slow: true}
		resp := &http.Response{Header: http.Header{}, ContentLength: 1 << 20, Body: &arriving{start: time.Now(), rate: 1e6, size: 1 << 20}}
		m.watch(resp, false)
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil || m.takeProbe() {
			t.Fatalf("error %v, or a probe is due while one is under way", err)
		}
		time.Sleep(probeMost)
		if !m.takeProbe() {
			t.Error("no probe is due although nobody has read the last for a minute")
		}
		resp.Body.Close()
		if m.open != 0 {
			t.Errorf("%d answers are open after the last was closed", m.open)
		}
	})
}
