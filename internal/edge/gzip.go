package edge

import (
	"bytes"
	"compress/gzip"
	"hash/crc32"
	"strconv"
	"strings"
)

// gzipFrom is the body length in bytes from which an answer is compressed for a
// client that asks for it. The service leaves small bodies plain; its own threshold
// is not documented.
const gzipFrom = 1024

// compress does what the service does for a client that asks for gzip. The checksum
// is over the bytes on the wire, so it is made anew, unless it was wrong.
func (a *answer) compress(accept []string) {
	if a.body.Len() < gzipFrom || a.header.Get("Content-Encoding") != "" || !wantsGzip(accept) {
		return
	}
	if a.header.Get("X-Amz-Crc32") == strconv.FormatUint(uint64(crc32.ChecksumIEEE(a.body.Bytes())), 10) {
		a.header.Del("X-Amz-Crc32") // complete makes the right one
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	// Writes to a bytes.Buffer do not fail.
	_, _ = z.Write(a.body.Bytes())
	_ = z.Close()
	a.body = packed
	a.header.Set("Content-Encoding", "gzip")
}

// wantsGzip reports whether the client named gzip, as SDKs do ("gzip" or a list);
// "gzip;q=0" is the one way to name it and not mean it.
func wantsGzip(accept []string) bool {
	for _, coding := range strings.Split(strings.Join(accept, ","), ",") {
		name, params, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.0")
		}
	}
	return false
}
