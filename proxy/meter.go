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
	// probeShare bounds what plain answers cost while answers are compressed: after one that took t, none is asked for
	// during probeShare times t. The first comes after t, the next after probeGrowth times that, and so on: the slow
	// start of a connection looks like a slow link, until the second page.
	probeShare  = 50
	probeGrowth = 4
	// probeMost is when the next probe is due while one is under way: its caller may never read it.
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
	probe   time.Time // when a plain answer is due, while slow
	share   int       // how many times its own duration the next probe is away
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

// probeDue reports whether the next answer should be a plain one, without which nobody would see that the link is fast
// again. It stays due until a large one arrives.
func (m *meter) probeDue() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !time.Now().Before(m.probe)
}

// watch counts an answer's bytes as they arrive; small ones do not count.
func (m *meter) watch(resp *http.Response) {
	packed := strings.Contains(strings.ToLower(resp.Header.Get("Content-Encoding")), "gzip")
	large := resp.ContentLength >= largeBody && !packed
	if !large && !packed {
		return
	}
	if large {
		m.mu.Lock()
		m.probe = time.Now().Add(probeMost)
		if m.slow {
			m.past.scale(probePast)
		}
		m.mu.Unlock()
	}
	resp.Body = &metered{ReadCloser: resp.Body, m: m, large: large}
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
		m.probe = m.at.Add(time.Duration(m.share) * m.at.Sub(b.began))
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
