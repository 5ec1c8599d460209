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
	// maxWindow is 112 MB/s at 150 ms. Most machines let TCP have less under way.
	maxWindow = 16 << 20
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

// A window reads a channel, and doubles its window when that is used up, as often as it
// is. One goroutine reads at a time. More than the line holds would not speed it up:
// sshd takes that from the relay into a queue of its own, where what is small waits
// behind what is large, and which grows by copying itself.
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
	if w.size < maxWindow && w.flow.fills(w.size, n, time.Now(), w.distance()) {
		w.untold += w.size
		w.size *= 2
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
type flow struct {
	since time.Time
	bytes int
}

// fills takes n more bytes into account. It reports whether most of a window was
// used within one round trip, and begins anew then; a round trip of 0 is not known.
func (f *flow) fills(window, n int, now time.Time, rtt time.Duration) bool {
	if now.Sub(f.since) > rtt {
		f.since, f.bytes = now, 0
	}
	f.bytes += n
	if rtt == 0 || f.bytes <= window*3/4 {
		return false
	}
	*f = flow{}
	return true
}
