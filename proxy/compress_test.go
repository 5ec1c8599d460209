package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWantsPlain(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"":                                true,
		"identity":                        true, // boto3, CLI, Go
		"deflate, br":                     true,
		"gzip":                            false,
		"GZIP":                            false,
		"x-gzip":                          false,
		"br, gzip;q=0.5":                  false,
		"br,gzip ; Q=0.001":               false,
		"gzip;q=0":                        true,
		"gzip;q=0.000":                    true,
		"gzip; q = 0.":                    true,
		"gzip;q=none":                     false, // doubtful
		"gzip;level=9":                    false,
		"gzip;q=00":                       false,
		"gzip;q=0, *":                     false,
		"*":                               false,
		"*;q=0.1":                         false,
		"*;q=0":                           false, // identity too is refused
		"*;q=0, identity":                 true,
		"identity;q=0.5, *;q=0":           true,
		"identity;q=0":                    false,
		"identity;q=0, deflate":           false,
		"gzip;q=0, deflate, identity;q=0": false,
		",;=,":                            true,
		"gzipped":                         true,
	} {
		if got := wantsPlain([]string{accept}); got != want {
			t.Errorf("wantsPlain(%q) = %v, want %v", accept, got, want)
		}
	}
	if !wantsPlain(nil) {
		t.Error("a caller without the header, such as the SDK for JavaScript, does not want it plain")
	}
	if wantsPlain([]string{"identity", "gzip"}) {
		t.Error("the second of two headers is not seen")
	}
}

// FuzzWantsPlain: neither the number of headers nor their order matters, and who takes gzip, anything, or nothing plain is
// never taken for one who wants it plain.
func FuzzWantsPlain(f *testing.F) {
	for _, s := range []string{"", "identity", "gzip", "gzip;q=0", "*;q=0.0,identity", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip;q=0;q=1", "x-gzip ;\tq=0."} {
		f.Add(s, "identity")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		plain := wantsPlain([]string{first, second})
		if wantsPlain([]string{first + "," + second}) != plain || wantsPlain([]string{second, first}) != plain {
			t.Errorf("%q and %q: plain = %v, but not as one, or in another order", first, second, plain)
		}
		for _, more := range []string{"gzip", "*", "identity;q=0"} {
			if wantsPlain([]string{first, second, more}) {
				t.Errorf("%q, %q, %q is taken for plain", first, second, more)
			}
		}
	})
}

// asked is a request with Accept-Encoding, none where accept is "-".
func asked(t *testing.T, op, accept string) *http.Request {
	t.Helper()
	r := signed(t, op, getItem, profileKey, "eu-west-1")
	if accept != "-" {
		r.Header.Set("Accept-Encoding", accept)
	}
	return r
}

// sentAccept lists the Accept-Encoding of what AWS received.
func sentAccept(f *fakeAWS) []string {
	var all []string
	for _, r := range f.requests() {
		accept := "-"
		if values, ok := r.header["Accept-Encoding"]; ok {
			accept = strings.Join(values, ",")
		}
		all = append(all, accept)
	}
	return all
}

// longBody is long enough that compression shows.
var longBody = strings.Repeat(okBody, 1000)

func TestWhichAnswersAreUnpacked(t *testing.T) {
	t.Parallel()
	const json, cbor = "application/x-amz-json-1.0", "application/cbor"
	packed := string(pack(t, []byte(longBody), gzip.DefaultCompression))
	for _, tt := range []struct {
		name        string
		op, accept  string
		coding      string // of AWS's answer, to whoever asks for gzip
		contentType string
		body        string // of that answer
		sent        []string
		want        string // to the caller
	}{
		{"boto3", "Scan", "identity", "gzip", json, packed, []string{"gzip"}, longBody},
		{"JavaScript", "Query", "-", "gzip", json, packed, []string{"gzip"}, longBody},
		{"CBOR", "BatchGetItem", "identity", "gzip", cbor, packed, []string{"gzip"}, longBody},
		{"in other letters", "GetItem", "br", "GZip", json + "; charset=utf-8", packed, []string{"gzip"}, longBody},
		{"who refuses gzip", "Scan", "gzip;q=0", "gzip", json, packed, []string{"gzip"}, longBody},
		{"a small answer is not compressed", "ListTables", "identity", "", json, okBody, []string{"gzip"}, okBody},
		{"a coding that nobody asked for", "Scan", "identity", "br", json, "br?", []string{"gzip"}, "br?"},
		{"who asks for gzip", "Scan", "gzip", "gzip", json, packed, []string{"gzip"}, packed},
		{"who takes anything", "Scan", "*", "gzip", json, packed, []string{"*"}, packed},
		{"who takes no plain one", "Scan", "gzip;q=0.5, identity;q=0", "gzip", json, packed, []string{"gzip;q=0.5, identity;q=0"}, packed},
		{"a write", "PutItem", "identity", "gzip", json, packed, []string{"identity"}, longBody},
		{"of a stranger", "Scan", "identity", "gzip", "text/html", packed, []string{"gzip", "identity"}, longBody},
		{"twice", "Scan", "identity", "gzip, gzip", json, packed, []string{"gzip", "identity"}, longBody},
		{"damaged", "Scan", "-", "gzip", json, packed[:30] + "x" + packed[31:], []string{"gzip", "-"}, longBody},
		{"cut short", "Scan", "identity", "gzip", json, packed[:len(packed)/2], []string{"gzip", "identity"}, longBody},
		{"empty", "Scan", "identity", "gzip", json, "", []string{"gzip", "identity"}, longBody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAWS(t)
			f.answer(func(w http.ResponseWriter, r *http.Request) {
				body := longBody
				if accept := r.Header.Get("Accept-Encoding"); strings.Contains(accept, "gzip") || accept == "*" {
					body = tt.body
					if tt.coding != "" {
						w.Header().Set("Content-Encoding", tt.coding)
					}
				}
				w.Header()["Vary"], w.Header()["Etag"] = []string{"Accept-Encoding"}, []string{`"1"`}
				w.Header().Set("Content-Type", tt.contentType)
				w.Header().Set("X-Amz-Crc32", crcOf([]byte(body))[0])
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				w.Header().Set("Date", "Tue, 24 Nov 2026 00:00:00 GMT")
				_, _ = io.WriteString(w, body)
			})
			s, log := newServer(t, f)
			s.Compress = CompressOn
			w := ask(s, asked(t, tt.op, tt.accept))
			if got := sentAccept(f); !slices.Equal(got, tt.sent) {
				t.Errorf("AWS was asked for %q, want %q", got, tt.sent)
			}
			if w.Code != http.StatusOK || w.Body.String() != tt.want {
				t.Errorf("answer = %d with %d bytes, want %d bytes", w.Code, w.Body.Len(), len(tt.want))
			}
			want := http.Header{
				"Content-Type": {tt.contentType}, "Content-Length": {fmt.Sprint(len(tt.want))}, "X-Amz-Crc32": crcOf([]byte(tt.want)),
				"Vary": {"Accept-Encoding"}, "Etag": {`"1"`}, "Date": {"Tue, 24 Nov 2026 00:00:00 GMT"},
			}
			if tt.want == tt.body && tt.coding != "" {
				want.Set("Content-Encoding", tt.coding)
			}
			if fmt.Sprint(w.Header()) != fmt.Sprint(want) {
				t.Errorf("header = %v, want %v", w.Header(), want)
			}
			// Where it had to be asked for again, it is not tried once more.
			if again := len(tt.sent) > 1; again == s.Compressing() || again != strings.Contains(log.String(), "AWS is not asked for gzip any more") {
				t.Errorf("compressing = %v after %d requests for one; log: %s", s.Compressing(), len(tt.sent), log)
			}
		})
	}
}

func TestWhenGzipIsAskedFor(t *testing.T) {
	t.Parallel()
	random := make([]byte, 256<<10)
	rand.NewChaCha8([32]byte{}).Read(random)
	page := hex.AppendEncode(nil, random) // half of it in gzip
	packed := pack(t, page, gzip.DefaultCompression)
	for _, tt := range []struct {
		compress Compression
		pace     time.Duration // of 16 KiB
		want     []string
	}{
		// A page to learn from, one compressed, and then one to see whether the link has changed.
		{"", 16 * time.Millisecond, []string{"identity", "gzip", "identity", "gzip"}},
		{CompressAuto, 16 * time.Millisecond, []string{"identity", "gzip", "identity", "gzip"}},
		{CompressAuto, time.Microsecond, []string{"identity", "identity", "identity", "identity"}},
		{CompressOn, 16 * time.Millisecond, []string{"gzip", "gzip", "gzip", "gzip"}},
		{CompressOff, 16 * time.Millisecond, []string{"identity", "identity", "identity", "identity"}},
	} {
		t.Run(fmt.Sprintf("%q, 16 KiB in %v", tt.compress, tt.pace), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAWS(t)
				f.answer(func(w http.ResponseWriter, r *http.Request) {
					body := page
					if r.Header.Get("Accept-Encoding") == "gzip" {
						body = packed
						w.Header().Set("Content-Encoding", "gzip")
					}
					w.Header().Set("Content-Type", "application/x-amz-json-1.0")
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
					for part := range slices.Chunk(body, 16<<10) {
						time.Sleep(tt.pace)
						_, _ = w.Write(part)
					}
				})
				s, _ := newServer(t, f)
				s.Compress = tt.compress
				for range tt.want {
					if w := ask(s, asked(t, "Scan", "identity")); w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), page) {
						t.Errorf("answer = %d with %d bytes, want %d bytes", w.Code, w.Body.Len(), len(page))
					}
				}
				if got := sentAccept(f); !slices.Equal(got, tt.want) {
					t.Errorf("AWS was asked for %q, want %q", got, tt.want)
				}
				if got, want := s.Compressing(), slices.Contains(tt.want, "gzip"); got != want {
					t.Errorf("compressing = %v, want %v", got, want)
				}
			})
		})
	}
}

func TestCompressedAnswerThatBreaksIsAskedForAgain(t *testing.T) {
	t.Parallel()
	packed := pack(t, []byte(longBody), gzip.DefaultCompression)
	for _, tt := range []struct {
		name   string
		breaks int
		sent   int
	}{
		{"once", 1, 2},
		{"for ever", 100, maxResends + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAWS(t)
			f.answer(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.Header().Set("Content-Type", "application/x-amz-json-1.0")
				w.Header().Set("Content-Length", fmt.Sprint(len(packed)))
				if len(f.requests()) <= tt.breaks {
					_, _ = w.Write(packed[:len(packed)/2])
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
				awsAnswer(w, http.StatusOK, string(packed))
			})
			s, _ := newServer(t, f)
			s.Compress = CompressOn
			w := ask(s, asked(t, "Scan", "identity"))
			if tt.breaks == 1 {
				if w.Code != http.StatusOK || w.Body.String() != longBody {
					t.Errorf("answer = %d with %d bytes, want %d bytes", w.Code, w.Body.Len(), len(longBody))
				}
			} else {
				wantError(t, w, http.StatusInternalServerError, internalError, "aws: the connection broke 4 times before Scan was answered; it may be sent again")
			}
			if got, want := sentAccept(f), slices.Repeat([]string{"gzip"}, tt.sent); !slices.Equal(got, want) {
				t.Errorf("AWS was asked for %q, want %q", got, want)
			}
			if !s.Compressing() {
				t.Error("a broken connection has ended compression")
			}
		})
	}
}

func TestConnectionsAreKeptAfterAnUnpackedAnswer(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		awsAnswer(w, http.StatusOK, string(pack(t, []byte(longBody), gzip.BestSpeed)))
	})
	s, _ := newServer(t, f)
	s.Compress = CompressOn
	conn, err := net.Dial("tcp", listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for range 3 {
		r := asked(t, "Scan", "identity")
		r.Host = r.URL.Host
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != longBody || resp.Close || resp.ContentLength != int64(len(longBody)) {
			t.Errorf("body of %d bytes, length %d, %v, close %v, want %d", len(body), resp.ContentLength, err, resp.Close, len(longBody))
		}
	}
	if got := f.dialled(); got != 1 {
		t.Errorf("%d connections to AWS for three calls, want 1", got)
	}
}

func TestEveryCapturedClientGetsWhatItAskedFor(t *testing.T) {
	t.Parallel()
	packed := pack(t, []byte(longBody), gzip.DefaultCompression)
	for _, c := range signedCaptures(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAWS(t)
			f.answer(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "gzip" {
					awsAnswer(w, http.StatusOK, longBody)
					return
				}
				w.Header().Set("Content-Encoding", "gzip")
				awsAnswer(w, http.StatusOK, string(packed))
			})
			s, _ := newServer(t, f)
			s.Compress = CompressOn
			date := c.date(t)
			s.Now = func() time.Time { return date }
			resp, body := exchangeRaw(t, listen(t, s), c.raw)
			want, coding := longBody, ""
			if bytes.Contains(c.raw, []byte("Accept-Encoding: gzip")) {
				want, coding = string(packed), "gzip"
			}
			if body != want || resp.Header.Get("Content-Encoding") != coding || !slices.Equal(resp.Header["X-Amz-Crc32"], crcOf([]byte(want))) {
				t.Errorf("%d bytes, %v, want %d bytes in %q", len(body), resp.Header, len(want), coding)
			}
			if got := sentAccept(f); !slices.Equal(got, []string{"gzip"}) { // the writes have a token
				t.Errorf("AWS was asked for %q, want gzip", got)
			}
		})
	}
}
