package tunnel

import (
	"io"
	"reflect"
	"time"
	"unsafe"

	"golang.org/x/crypto/ssh"
)

const (
	// channelWindow is what an ssh channel carries in a round trip at most: the
	// fixed window of x/crypto/ssh on our side, CHAN_SES_WINDOW_DEFAULT in sshd.
	channelWindow = 2 << 20
	// wideWindow is 100 MB/s at 150 ms. Most machines let TCP have less under way.
	wideWindow = 16 << 20
)

// The two halves of a channel's Read: what came in, and the word that there is room
// again (WINDOW_ADJUST, RFC 4254, section 5.2). adjustWindow may say more than was
// read: the window is wider by that much then. x/crypto/ssh has no option for it,
// and no other way than these names of its own; where one is gone nothing is linked.
// Several relays, each with a channel and so a window of its own, carried less for
// more work (docs/performance.md).
//
//go:linkname readBuffer golang.org/x/crypto/ssh.(*buffer).Read
func readBuffer(b unsafe.Pointer, p []byte) (int, error)

//go:linkname adjustWindow golang.org/x/crypto/ssh.(*channel).adjustWindow
func adjustWindow(ch unsafe.Pointer, by uint32) error

// A window reads a channel, and widens its window once that is used up. One goroutine
// reads at a time.
type window struct {
	channel, pending unsafe.Pointer
	distance         func() time.Duration

	flow   flow
	size   int
	untold int // bytes that there is room for again
}

// newWindow reads ch, whose far end is distance away. ch is one of x/crypto/ssh's own.
func newWindow(ch ssh.Channel, distance func() time.Duration) *window {
	v := reflect.ValueOf(ch)
	return &window{
		channel:  v.UnsafePointer(),
		pending:  v.Elem().FieldByName("pending").UnsafePointer(),
		distance: distance,
		size:     channelWindow,
	}
}

// Read tells the far end of each sixteenth of the window, and not of each piece as a
// wide channel's own Read would: that is a packet, and work for both ends.
func (w *window) Read(p []byte) (int, error) {
	n, err := readBuffer(w.pending, p)
	w.untold += n
	if w.size == channelWindow && w.flow.full(n, time.Now(), w.distance()) {
		w.size = wideWindow
		w.untold += wideWindow - channelWindow
	}
	if w.untold >= w.size/16 {
		told := adjustWindow(w.channel, uint32(w.untold))
		w.untold = 0
		if err == nil && told != io.EOF { // of a closed channel: its own end comes once all is read
			err = told
		}
	}
	return n, err
}

// flow tells by what comes out of a channel whether its window is the limit.
// Where it is not a wider one would be a longer queue, before a thin link, and
// what is small would wait behind what is large.
type flow struct {
	since time.Time
	bytes int
}

// full takes n more bytes into account. It reports whether most of a window was
// used within one round trip; 0 is one that is not known.
func (f *flow) full(n int, now time.Time, rtt time.Duration) bool {
	if now.Sub(f.since) > rtt {
		f.since, f.bytes = now, 0
	}
	f.bytes += n
	return rtt > 0 && f.bytes > channelWindow*3/4
}
