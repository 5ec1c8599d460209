package proxy

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// Answers are compressed from below slowRate until above fastRate, in bytes a second. A page of 1 MB over 50 Mbit/s
	// took 221 ms plain, and in gzip 74 ms and the compressor's time, 19 ms with Go's. At 100 Mbit/s it was 133 ms against
	// 68 and 17 ms, at 200 Mbit/s no gain was left (BenchmarkCompress of package e2e). DynamoDB's compressor is not known:
	// one three times slower than Go's would still not lose below fastRate.
	slowRate = 6e6
	fastRate = 12e6
	// largeBody is the length in bytes from which a body tells something of the link: a smaller one is over within a few
	// packets.
	largeBody = 128 << 10
	// lookEvery is after how many bytes the rate is looked at, and keepPast the weight that the past keeps then: what
	// counts are the last 4 MB, in which bursts and pauses of a small window even out. With each probe it keeps probePast.
	lookEvery = 256 << 10
	keepPast  = 15.0 / 16
	probePast = 1.0 / 8
	// probeShare bounds what plain answers cost while answers are compressed: after the first, one compressed answer comes
	// before the next, then probeGrowth of them, and so on up to probeShare: the slow start of a connection looks like a
	// slow link, until the second page. A compressed one counts from packedBody bytes, about a largeBody before.
	probeShare  = 64
	probeGrowth = 16
	packedBody  = largeBody / 8
	// probeMost is when the next probe is due while one is under way: its caller may never read it, AWS never answer it.
	probeMost = time.Minute
)

// A meter finds out at what rate the answers of AWS arrive, all that are under way together, because they share the link.
// It looks at large plain answers, after their first bytes: before them DynamoDB thinks, and in compressed ones it may be
// the compressor that is slow. So the first answers are plain, because nothing is known without.
//
// Two rates bound the true one. The time in which somebody waits for bytes gives one that is too high where callers read
// slowly, since bytes pile up meanwhile; the time in which an answer is under way gives one that is too low then. The link
// is slow if the first is low, and fast if the second is high; else it stays as it was.
//
// What is measured is what answers get, be it by the line, a window of ssh or a slow start of TCP: fewer bytes help with
// each of them.
type meter struct {
	log *slog.Logger

	mu      sync.Mutex
	at      time.Time // of the last change
	open    int       // large plain answers after their first bytes
	waiting int       // those of them that are in a Read
	recent  sample    // since the last look
	past    sample
	slow    bool
	probing time.Time // until when a plain answer is awaited, while slow
	packed  int       // compressed answers until the next is due
	share   int       // and how many there will be after that
}

// A sample is what arrived while a large plain answer was under way, and in how many seconds.
type sample struct{ bytes, open, waiting float64 }

func (s *sample) scale(by float64) {
	s.bytes *= by
	s.open *= by
	s.waiting *= by
}

func (m *meter) isSlow() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.slow
}

// takeProbe reports whether the caller's answer is to be a plain one, without which nobody would see that the link is fast
// again. One caller at a time is told so: of many large answers each would take its time.
func (m *meter) takeProbe() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.packed > 0 || now.Before(m.probing) {
		return false
	}
	m.probing = now.Add(probeMost)
	return true
}

// watch counts an answer's bytes as they arrive; small ones do not count. A probe that is small tells nothing, and
// another one is due.
func (m *meter) watch(resp *http.Response, probe bool) {
	packed := strings.Contains(strings.ToLower(resp.Header.Get("Content-Encoding")), "gzip")
	large := resp.ContentLength >= largeBody && !packed
	if !large && !packed && !probe {
		return
	}
	m.mu.Lock()
	switch {
	case large:
		m.probing = time.Now().Add(probeMost)
		if m.slow {
			m.past.scale(probePast)
		}
	case probe:
		m.probing = time.Time{}
	case packed && resp.ContentLength >= packedBody:
		m.packed--
	}
	m.mu.Unlock()
	if large || packed {
		resp.Body = &metered{ReadCloser: resp.Body, m: m, large: large}
	}
}

// metered is the body of an answer that counts.
type metered struct {
	io.ReadCloser
	m     *meter
	large bool      // and plain: it tells of the link
	began time.Time // the first bytes of a large one came
	done  bool
}

func (b *metered) Read(p []byte) (int, error) {
	b.m.before(b)
	n, err := b.ReadCloser.Read(p)
	b.m.after(b, n, err)
	return n, err
}

func (b *metered) Close() error {
	err := b.ReadCloser.Close()
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	b.m.pass()
	b.m.end(b)
	return err
}

// counts reports whether the time of b counts.
func (b *metered) counts() bool { return !b.began.IsZero() && !b.done }

func (m *meter) before(b *metered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pass()
	if b.counts() {
		m.waiting++
	}
}

func (m *meter) after(b *metered, n int, err error) {
	m.mu.Lock()
	m.pass()
	if b.counts() {
		m.waiting--
	}
	if m.open > 0 {
		m.recent.bytes += float64(n)
	}
	if b.large && b.began.IsZero() { // n came before its time was counted
		b.began = m.at
		m.open++
	}
	if err != nil {
		m.end(b)
	}
	rate, changed := m.look()
	slow := m.slow
	m.mu.Unlock()
	if !changed {
		return
	}
	text := "answers arrive fast: AWS is not asked for gzip any more"
	if slow {
		text = "answers arrive slowly: AWS is asked for gzip"
	}
	m.log.Info(text, "rate", fmt.Sprintf("%.1f MB/s", rate/1e6))
}

// pass counts the time since the last change.
func (m *meter) pass() {
	now := time.Now()
	d := now.Sub(m.at).Seconds()
	m.at = now
	if m.open > 0 {
		m.recent.open += d
	}
	if m.waiting > 0 {
		m.recent.waiting += d
	}
}

// end takes b out of the count.
func (m *meter) end(b *metered) {
	if b.counts() {
		m.open--
		m.probing, m.packed = time.Time{}, m.share
		m.share = min(probeGrowth*m.share, probeShare)
	}
	b.done = true
}

// look decides, when enough bytes have come. It returns the rate in bytes a second by which it did, and whether that
// changed anything.
func (m *meter) look() (rate float64, changed bool) {
	if m.recent.bytes < lookEvery {
		return 0, false
	}
	m.past.scale(keepPast)
	m.past.bytes += m.recent.bytes
	m.past.open += m.recent.open
	m.past.waiting += m.recent.waiting
	m.recent = sample{}
	if rate = m.past.bytes / m.past.waiting; !m.slow && rate < slowRate {
		m.slow, m.share = true, 1
		return rate, true
	}
	if rate = m.past.bytes / m.past.open; m.slow && rate > fastRate {
		m.slow = false
		return rate, true
	}
	return 0, false
}
