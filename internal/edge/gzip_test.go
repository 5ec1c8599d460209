package edge

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestLongAnswersAreCompressedForWhoAsks(t *testing.T) {
	t.Parallel()
	long := `{"TableNames":["` + strings.Repeat("a", 2000) + `"]}`
	sum := func(s string) string { return fmt.Sprint(crc32.ChecksumIEEE([]byte(s))) }
	for _, c := range []struct {
		name, accept, body, backendCRC string
		gzip                           bool
		crc                            string // empty: that of the wire
	}{
		{"asked", "gzip", long, "", true, ""},
		{"asked in a list", "br, gzip", long, "", true, ""},
		{"with the backend's checksum", "gzip", long, sum(long), true, ""},
		{"with the backend's wrong checksum", "gzip", long, "12345", true, "12345"},
		{"refused", "gzip;q=0", long, "", false, ""},
		{"not asked", "identity", long, "", false, ""},
		{"no header", "", long, "", false, ""},
		{"short", "gzip", `{"TableNames":[]}`, "", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := open(t, &Server{Backend: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.backendCRC != "" {
					w.Header().Set("X-Amz-Crc32", c.backendCRC)
				}
				_, _ = io.WriteString(w, c.body)
			})})
			r := signed(t, "ListTables", "{}", time.Now(), longTerm())
			if c.accept != "" {
				r.Header.Set("Accept-Encoding", c.accept)
			}
			resp, wire := send(t, d.client(t, d.internet), r)
			body := wire
			if c.gzip {
				z, err := gzip.NewReader(bytes.NewReader([]byte(wire)))
				if err != nil {
					t.Fatalf("%v: %q", err, wire)
				}
				plain, err := io.ReadAll(z)
				if err != nil {
					t.Fatal(err)
				}
				body = string(plain)
			}
			if coding := resp.Header.Get("Content-Encoding"); body != c.body || c.gzip != (coding == "gzip") {
				t.Errorf("body of %d bytes in %q, want %d, gzip: %v", len(body), coding, len(c.body), c.gzip)
			}
			want := c.crc
			if want == "" {
				want = sum(wire)
			}
			if got := resp.Header.Get("X-Amz-Crc32"); got != want || resp.ContentLength != int64(len(wire)) {
				t.Errorf("x-amz-crc32 = %s, length = %d, want %s, %d", got, resp.ContentLength, want, len(wire))
			}
		})
	}
}
