package proxy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// pack compresses as DynamoDB might; its level is not known.
func pack(t testing.TB, plain []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = z.Write(plain)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// scanPage is an answer of about 1 MB with items such as tables have: ids that do not compress, and names and texts that do.
func scanPage() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString(`{"Count":3000,"ScannedCount":3000,"Items":[`)
	for i := range 3000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"pk":{"S":"customer#%016x"},"sk":{"S":"order#2026-%02d-%02dT%02d:%02d:%02dZ"},"total":{"N":"%d.%02d"},"status":{"S":"%s"},`+
			`"address":{"M":{"street":{"S":"%d High Street"},"city":{"S":"%s"},"country":{"S":"IE"}}},"etag":{"S":"%016x%016x"},"gift":{"BOOL":%v},"lines":{"L":[{"N":"%d"},{"N":"%d"}]}}`,
			random.Uint64(), 1+random.IntN(12), 1+random.IntN(28), random.IntN(24), random.IntN(60), random.IntN(60), random.IntN(1000), random.IntN(100),
			[]string{"PENDING", "SHIPPED", "DELIVERED", "RETURNED"}[random.IntN(4)], random.IntN(300), []string{"Dublin", "Cork", "Galway", "Limerick"}[random.IntN(4)],
			random.Uint64(), random.Uint64(), random.IntN(2) == 0, random.IntN(1e6), random.IntN(1e6))
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// answerOf is a gzip answer as it comes from http.Transport. A body that breaks ends in broken.
func answerOf(body []byte, crc string, broken error) *http.Response {
	var r io.Reader = bytes.NewReader(body)
	if broken != nil {
		r = io.MultiReader(r, breaking{broken})
	}
	h := http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "Content-Encoding": {"gzip"}, "Content-Length": {strconv.Itoa(len(body))}}
	if crc != "" {
		h.Set("X-Amz-Crc32", crc)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(r)}
}

type breaking struct{ err error }

func (b breaking) Read([]byte) (int, error) { return 0, b.err }

func TestUnpack(t *testing.T) {
	t.Parallel()
	plain := []byte(strings.Repeat(okBody, 1000))
	packed := pack(t, plain, gzip.DefaultCompression)
	sum := crcOf(packed)[0]
	flipped := bytes.Clone(packed)
	flipped[len(flipped)/2] ^= 1
	for _, tt := range []struct {
		name   string
		body   []byte
		crc    string
		broken error
		want   string // error
	}{
		{"whole", packed, sum, nil, ""},
		{"whole, without a checksum", packed, "", nil, ""},
		{"the checksum is of other bytes", packed, crcOf(plain)[0], nil, "its X-Amz-Crc32 is"},
		{"the checksum is none", packed, "one", nil, "its X-Amz-Crc32 is one"},
		{"not gzip", plain, crcOf(plain)[0], nil, "invalid header"},
		{"nothing", nil, "0", nil, "EOF"},
		{"a bit is wrong", flipped, crcOf(flipped)[0], nil, "gzip: invalid checksum"},
		{"cut short by AWS", packed[:len(packed)-9], crcOf(packed[:len(packed)-9])[0], nil, "unexpected EOF"},
		{"something behind it", append(bytes.Clone(packed), okBody...), crcOf(append(bytes.Clone(packed), okBody...))[0], nil, "invalid header"},
		{"the connection broke", packed[:40], sum, io.ErrUnexpectedEOF, "the answer broke: unexpected EOF"},
		{"the connection broke at the very end", packed, sum, io.ErrUnexpectedEOF, "the answer broke: unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp := answerOf(tt.body, tt.crc, tt.broken)
			err := unpack(resp, maxUnpacked)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, errUnusable) != (tt.broken == nil) {
					t.Errorf("error = %v, want %q, unusable: %v", err, tt.want, tt.broken == nil)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("body = %d bytes, %v, want %d", len(got), err, len(plain))
			}
			want := http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "Content-Length": {strconv.Itoa(len(plain))}}
			if tt.crc != "" {
				want["X-Amz-Crc32"] = crcOf(plain)
			}
			if fmt.Sprint(resp.Header) != fmt.Sprint(want) || resp.ContentLength != int64(len(plain)) {
				t.Errorf("header = %v, want %v", resp.Header, want)
			}
		})
	}
}

func TestUnpackIsBounded(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	for n, want := range map[int]string{most: "", most + 1: "it unpacks to more than 1048576 bytes"} {
		resp := answerOf(pack(t, make([]byte, n), gzip.BestSpeed), "", nil)
		if err := unpack(resp, most); want == "" && err != nil || want != "" && (!errors.Is(err, errUnusable) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: error = %v, want %q", n, err, want)
		}
	}
	// Empty members unpack to nothing, however many there are.
	empty := pack(t, nil, gzip.BestSpeed)
	read := 0
	endless := answerOf(nil, "", nil)
	endless.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
		for i := range p {
			p[i] = empty[(read+i)%len(empty)]
		}
		read += len(p)
		return len(p), nil
	}))
	if err := unpack(endless, most); !errors.Is(err, errUnusable) || read > most {
		t.Errorf("error = %v after %d bytes, want an end after %d", err, read, most)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// FuzzUnpack: whatever is unpacked is what gzip says, within the bound, under its own checksum.
func FuzzUnpack(f *testing.F) {
	whole := pack(f, []byte(okBody), gzip.BestSpeed)
	f.Add(whole, true)
	f.Add(whole[:len(whole)-1], true)
	f.Add(append(bytes.Clone(whole), whole...), true)
	f.Add([]byte{0x1f, 0x8b}, false)
	f.Add([]byte(nil), true)
	f.Fuzz(func(t *testing.T, body []byte, withCRC bool) {
		crc := ""
		if withCRC {
			crc = crcOf(body)[0]
		}
		resp := answerOf(body, crc, nil)
		if err := unpack(resp, maxUnpacked); err != nil {
			if !errors.Is(err, errUnusable) {
				t.Errorf("error = %v, want errUnusable", err)
			}
			return
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || len(got) > maxUnpacked {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("unpacked what is not gzip: %v", err)
		}
		if want, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
			t.Errorf("body %q, want %q, %v", got, want, err)
		}
		if h := resp.Header; h.Get("Content-Length") != strconv.Itoa(len(got)) || withCRC && h.Get("X-Amz-Crc32") != fmt.Sprint(crc32.ChecksumIEEE(got)) {
			t.Errorf("header = %v for %d bytes", h, len(got))
		}
	})
}

// BenchmarkUnpack takes a Scan's page of 1 MB apart; MB/s are of the plain page.
func BenchmarkUnpack(b *testing.B) {
	plain := scanPage()
	for name, level := range map[string]int{"level 1": 1, "level 6": 6} {
		b.Run(name, func(b *testing.B) {
			packed := pack(b, plain, level)
			crc := crcOf(packed)[0]
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				resp := answerOf(packed, crc, nil)
				if err := unpack(resp, maxUnpacked); err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
			b.ReportMetric(float64(len(plain))/float64(len(packed)), "times-smaller")
		})
	}
}

// BenchmarkPack is what a compressor like Go's would add to the answer's time; DynamoDB's own is not known.
func BenchmarkPack(b *testing.B) {
	plain := scanPage()
	for name, level := range map[string]int{"level 1": 1, "level 6": 6} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			z, err := gzip.NewWriterLevel(io.Discard, level)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				z.Reset(io.Discard)
				_, _ = z.Write(plain)
				_ = z.Close()
			}
		})
	}
}
