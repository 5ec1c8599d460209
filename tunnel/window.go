package tunnel

import (
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

// adjustWindow adds to what was read from a channel and not yet told to the far
// end, which hears of it with the next reads as of more room (WINDOW_ADJUST, RFC
// 4254, section 5.2). From then on the window is wider by that much, for each
// read gives back what it took; it does so at once then, for what is compared with
// the constant is unsigned. x/crypto/ssh has no option for it, and no other way
// than this name of its own: where that is gone, nothing is linked. Several relays,
// each with a channel and so a window of its own, carried fewer large answers
// (docs/performance.md).
//
//go:linkname adjustWindow golang.org/x/crypto/ssh.(*channel).adjustWindow
func adjustWindow(ch unsafe.Pointer, more uint32) error

// widen lets the far end have wideWindow under way to us, once for each channel.
// What is no channel of x/crypto/ssh stays as it is.
func widen(ch ssh.Channel) {
	v := reflect.ValueOf(ch)
	if t := v.Type(); t.Kind() != reflect.Pointer || t.Elem().PkgPath() != "golang.org/x/crypto/ssh" || t.Elem().Name() != "channel" {
		return
	}
	_ = adjustWindow(v.UnsafePointer(), wideWindow-channelWindow) // that the channel has ended is told by its Read
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
