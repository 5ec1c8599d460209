//go:build linux

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// BenchmarkCompress measures what a page of 1 MB takes over links of several
// speeds, with --compress off and on in turns:
//
//	go test -run '^$' -bench Compress -benchtime 1x ./internal/e2e
//
// Figures are the median in ms. How long DynamoDB compresses is not known: "packed"
// is for a compressor that takes no time, "level6" for Go's own, in the test's
// process and on its processors.
func BenchmarkCompress(b *testing.B) {
	page := benchPage()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(page)
	_ = z.Close()
	ready := true // the next answers are packed before they are asked for
	r := newRig(b, lab.Config{Uplink: lab.LinkConfig{RTT: rtt}}, func(s *edge.Server) {
		s.Backend = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			body := page
			if ready && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				body = packed.Bytes()
				w.Header().Set("Content-Encoding", "gzip")
			}
			_, _ = w.Write(body)
		})
	})
	r.openDoor(lab.SSHDOptions{})
	client := &http.Transport{DialContext: r.Dialer(lab.Laptop), DisableCompression: true}
	scan := func() time.Duration {
		req, err := signedFor(b.Context(), localURL, "Scan", []byte(`{"TableName":"orders"}`))
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		resp, err := client.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, page) {
			b.Fatalf("%d bytes, %v", len(got), err)
		}
		return time.Since(start)
	}
	for _, megabits := range []int64{20, 50, 100, 200, 0} {
		b.Run(fmt.Sprintf("%d Mbit/s", megabits), func(b *testing.B) {
			if err := r.Uplink.SetRate(megabits * 1e6); err != nil {
				b.Fatal(err)
			}
			took := map[string][]time.Duration{}
			measure := func(name string) {
				ready = name == "packed"
				scan() // the first opens windows
				for range 10 {
					took[name] = append(took[name], scan())
				}
			}
			for b.Loop() {
				for range 3 {
					off := r.connect("--compress", "off")
					measure("off")
					client.CloseIdleConnections()
					off.stop(os.Interrupt)
					on := r.connect("--compress", "on")
					measure("packed")
					measure("level6")
					client.CloseIdleConnections()
					on.stop(os.Interrupt)
				}
			}
			for name, times := range took {
				slices.Sort(times)
				b.ReportMetric(float64(lab.Percentile(times, 50))/float64(time.Millisecond), name+"-ms")
			}
			b.ReportMetric(0, "ns/op") // the sum says nothing
		})
	}
}

// benchPage is a page of a Scan with ids that do not compress and words that do;
// gzip makes it a fifth.
func benchPage() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString(`{"Items":[{}`)
	for b.Len() < 1<<20 {
		fmt.Fprintf(&b, `,{"pk":{"S":"customer#%016x"},"sk":{"S":"order#%d"},"status":{"S":"DELIVERED"},"total":{"N":"%d"},`+
			`"address":{"M":{"street":{"S":"%d High Street"},"city":{"S":"Dublin"},"country":{"S":"IE"}}},"etag":{"S":"%016x"},"gift":{"BOOL":%v}}`,
			random.Uint64(), random.IntN(1e9), random.IntN(1e6), random.IntN(300), random.Uint64(), random.IntN(2) == 0)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}
