package proxy

import (
	"net/http"
	"sync/atomic"
	"time"
)

// window is how far a request's date may be from ours. AWS's own error text names 5 minutes.
const window = 5 * time.Minute

// A clock tells this machine's time and AWS's. The difference is learnt from the Date of AWS's answers, because a laptop
// that is an hour off must still be able to sign, and because Go v2 and JavaScript v3 clients move their own clock by
// the Date of any answer they get, ours included.
type clock struct {
	now  func() time.Time
	skew atomic.Int64 // nanoseconds that AWS is ahead; 0 until known
}

// aws returns the time at AWS as far as it is known.
func (c *clock) aws() time.Time { return c.now().Add(time.Duration(c.skew.Load())) }

// learn reads the Date of an answer that came from AWS over TLS.
func (c *clock) learn(h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	skew := date.Sub(c.now())
	if skew.Abs() < 10*time.Second {
		skew = 0 // the header's one-second grain and the way here, not a clock that is off
	}
	c.skew.Store(int64(skew))
}

// near reports whether t is within the window of this machine's time or of AWS's.
func (c *clock) near(t time.Time) bool {
	return t.Sub(c.now()).Abs() <= window || t.Sub(c.aws()).Abs() <= window
}
