package lab

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// early is how much too soon a packet may go out, so that packets due
	// together cost one wake-up.
	early = 10 * time.Microsecond
	// longWait is a wait in which the processor goes to sleep, and is slow to
	// wake.
	longWait = time.Millisecond
	// maxLead bounds how much of that slowness is made up for.
	maxLead = 300 * time.Microsecond
	// smallPacket holds all but unsplit TCP segments.
	smallPacket = 2 << 10
	// maxInFlight bounds the memory of one way of a link without a Rate. TCP's
	// own windows stay far below it.
	maxInFlight = 64 << 20
)

// packet is one packet on the line.
type packet struct {
	due  time.Duration // since the way was made
	data []byte
}

// way is one direction of a link: a queue in order of time between two
// goroutines, take and deliver.
type way struct {
	link     *Link
	from, to *tun
	alarm    *alarm
	start    time.Time

	mu       sync.Mutex
	delay    time.Duration
	rate     int64
	loss     float64
	queue    int
	hole     bool
	random   *rand.Rand
	line     []packet // from head on
	head     int
	inFlight int           // bytes in line
	most     int64         // that inFlight has been
	busy     time.Duration // when the sender is done with what it has
	last     time.Duration // when the latest packet is due
	alarmAt  time.Duration // what the alarm is set to after a long wait, or 0
	lead     time.Duration // how late the alarm usually is then
	free     [2][][]byte   // buffers by size, small and large
}

func newWay(l *Link, from, to *tun, seed uint64) (*way, error) {
	a, err := newAlarm()
	if err != nil {
		return nil, err
	}
	return &way{
		link: l, from: from, to: to, alarm: a, start: time.Now(),
		random: rand.New(rand.NewPCG(seed, 0)),
	}, nil
}

// take reads packets from the sending device; it ends when that is closed or
// gone with its namespace.
func (w *way) take() {
	scratch := make([]byte, maxPacket)
	for {
		n, err := w.from.Read(scratch)
		if err != nil {
			return
		}
		w.push(scratch[:n])
	}
}

// push puts a copy of p on the line, or drops it.
func (w *way) push(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Since(w.start)
	w.busy = max(w.busy, now)
	if w.hole || w.link.nat.drops(p[vnetHeader:]) || w.full(now, len(p)) || w.loss > 0 && w.random.Float64() < w.loss {
		w.link.dropped.Add(1)
		return
	}
	if w.rate > 0 {
		w.busy += time.Duration(int64(len(p)-vnetHeader) * 8 * int64(time.Second) / w.rate)
	}
	w.last = max(w.last, w.busy+w.delay)
	buf := w.buffer(len(p))
	copy(buf, p)
	w.line = append(w.line, packet{w.last, buf})
	w.inFlight += len(p)
	w.most = max(w.most, int64(w.inFlight))
	if len(w.line)-w.head == 1 {
		w.arm(now, w.last)
	}
}

// arm sets the alarm for due. After a long wait it is late by 0.1 ms on a
// virtual machine, always about the same, so it is set that much too early;
// should it come early indeed, what remains is a short wait.
func (w *way) arm(now, due time.Duration) {
	wait := due - now
	w.alarmAt = 0
	if wait > longWait {
		wait -= w.lead
		w.alarmAt = now + wait
	}
	w.alarm.set(wait)
}

// woken learns from how late the alarm was.
func (w *way) woken() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.alarmAt != 0 {
		late := time.Since(w.start) - w.alarmAt
		w.lead = min(max(w.lead+(late-w.lead)/8, 0), maxLead)
	}
}

// full reports whether n more bytes are too much. Bytes wait for the sender,
// not for the far end: those on the line are no part of the queue.
func (w *way) full(now time.Duration, n int) bool {
	if w.rate == 0 {
		return w.inFlight+n > maxInFlight
	}
	waiting := (w.busy - now).Seconds() * float64(w.rate) / 8
	return int(waiting)+n > w.queue
}

// deliver writes packets to the receiving device as they come due; it ends
// when the alarm is closed.
func (w *way) deliver() {
	for w.alarm.wait() == nil {
		w.woken()
		for p := w.next(nil); p != nil; p = w.next(p) {
			// A device that takes no packet has lost it, as a line would.
			if n, err := w.to.Write(p); err == nil {
				w.link.bytes.Add(int64(n - vnetHeader))
			} else {
				w.link.dropped.Add(1)
			}
		}
	}
}

// next returns the first packet that is due; if there is none it sets the
// alarm for the one to come. It takes back the buffer of the packet before.
func (w *way) next(done []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if done != nil {
		w.recycle(done)
	}
	for w.head < len(w.line) {
		p := w.line[w.head]
		if now := time.Since(w.start); p.due-now > early {
			w.arm(now, p.due)
			return nil
		}
		w.line[w.head] = packet{}
		w.head++
		w.inFlight -= len(p.data)
		// Move the rest down once half is used, so that appending keeps to
		// one array.
		if w.head*2 >= len(w.line) {
			w.line = w.line[:copy(w.line, w.line[w.head:])]
			w.head = 0
		}
		if !w.hole {
			return p.data
		}
		w.link.dropped.Add(1)
		w.recycle(p.data)
	}
	return nil
}

func (w *way) buffer(n int) []byte {
	class, size := 0, smallPacket
	if n > smallPacket {
		class, size = 1, maxPacket
	}
	if free := w.free[class]; len(free) > 0 {
		buf := free[len(free)-1]
		w.free[class] = free[:len(free)-1]
		return buf[:n]
	}
	return make([]byte, n, size)
}

func (w *way) recycle(buf []byte) {
	class := 0
	if cap(buf) > smallPacket {
		class = 1
	}
	w.free[class] = append(w.free[class], buf)
}
