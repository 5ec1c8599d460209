package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A Compression says when AWS is asked for gzip on behalf of callers who do not ask for it themselves.
type Compression string

// The values of Server.Compress; empty means CompressAuto.
const (
	CompressAuto Compression = "auto" // while large answers arrive slowly
	CompressOn   Compression = "on"
	CompressOff  Compression = "off"
)

// Compressing reports whether AWS is asked for gzip at present.
func (s *Server) Compressing() bool {
	switch {
	case s.Compress == CompressOff, s.unusable.Load():
		return false
	case s.Compress == CompressOn:
		return true
	}
	return s.link.isSlow()
}

// asksGzip has c ask AWS for gzip in the caller's place, or be the plain answer that tells of the link. Only what may be
// sent again does: the large answers are among those, and one that cannot be unpacked costs no more than asking once more,
// without.
func (s *Server) asksGzip(caller http.Header, c *call) {
	if !s.Compressing() || !wantsPlain(caller.Values("Accept-Encoding")) || !c.mayRepeat() {
		return
	}
	c.probe = s.Compress != CompressOn && s.link.takeProbe()
	c.gzip = !c.probe
}

// wantsPlain reports whether Accept-Encoding asks for a body without gzip and takes one without any coding (RFC 9110,
// section 12.5.3). None at all does too: who sends none does not unpack. What is doubtful is the caller's own affair.
func wantsPlain(values []string) bool {
	named, rest := false, true // identity is named; what is not named is acceptable
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, params, _ := strings.Cut(coding, ";")
		refused := isZeroWeight(params)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			if !refused {
				return false
			}
		case "*":
			if !refused {
				return false
			}
			rest = false
		case "identity":
			if refused {
				return false
			}
			named = true
		}
	}
	return named || rest
}

// isZeroWeight reports whether a coding's parameters begin with a weight of zero, "q=0" to "q=0.000".
func isZeroWeight(params string) bool {
	params, _, _ = strings.Cut(params, ";")
	name, value, _ := strings.Cut(params, "=")
	whole, rest, _ := strings.Cut(strings.TrimSpace(value), ".")
	return strings.EqualFold(strings.TrimSpace(name), "q") && whole == "0" && strings.Trim(rest, "0") == ""
}

// receive makes AWS's answer to c the caller's: it unpacks what is in gzip because we asked for that. A coding that we
// did not ask for is between AWS and the caller. An error that is errUnusable means that asking without gzip may help.
func (s *Server) receive(resp *http.Response, c call) error {
	if s.Compress == CompressAuto || s.Compress == "" {
		s.link.watch(resp, c.probe)
	}
	coding := strings.ToLower(strings.Join(resp.Header.Values("Content-Encoding"), ","))
	if !c.gzip || !strings.Contains(coding, "gzip") {
		return nil
	}
	contentType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	var err error
	switch contentType = strings.ToLower(strings.TrimSpace(contentType)); {
	case coding != "gzip":
		err = fmt.Errorf("%w: its Content-Encoding is %s", errUnusable, oneLine(coding, 60))
	case contentType != "application/x-amz-json-1.0" && contentType != "application/cbor":
		err = fmt.Errorf("%w: its Content-Type is %s", errUnusable, oneLine(contentType, 60))
	default:
		err = unpack(resp, maxUnpacked)
	}
	if err == nil {
		return nil
	}
	resp.Body.Close()
	// Asking twice for each read would cost its price twice, so the first such answer is the last.
	if errors.Is(err, errUnusable) && s.unusable.CompareAndSwap(false, true) {
		s.Logger.Warn("AWS is not asked for gzip any more", "err", err)
	}
	return err
}
