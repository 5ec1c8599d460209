package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"time"
)

// FreshPosts measures what a command line client pays: one request, each time
// over a connection of its own with nothing remembered from the one before.
type FreshPosts struct {
	// Dial opens the connection, usually a [Lab.Dialer].
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Addr is dialled in place of the URL's host, if it is not empty: the near
	// end of ssh -L, for a URL with AWS's own name.
	Addr string
	// TLS is used for https URLs; nil is the default. Sessions are not resumed.
	TLS *tls.Config
	// Request makes the next request. It is called before the clock starts.
	Request func(ctx context.Context) (*http.Request, error)
}

// Measure sends n requests, one after the other, and returns how long each took
// from before the dial to the last byte of the answer, shortest first. An
// answer that is not 200 is an error.
func (f FreshPosts) Measure(ctx context.Context, n int) ([]time.Duration, error) {
	times := make([]time.Duration, 0, n)
	for i := range n {
		d, err := f.once(ctx)
		if err != nil {
			return nil, fmt.Errorf("request %d of %d: %w", i+1, n, err)
		}
		times = append(times, d)
	}
	slices.Sort(times)
	return times, nil
}

func (f FreshPosts) once(ctx context.Context) (time.Duration, error) {
	req, err := f.Request(ctx)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{
		DisableCompression: true,
		TLSClientConfig:    f.TLS,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if f.Addr != "" {
				addr = f.Addr
			}
			return f.Dial(ctx, network, addr)
		},
	}
	defer transport.CloseIdleConnections()
	start := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("answer is %s: %.200s", resp.Status, body)
	}
	return took, nil
}

// Percentile returns the pth percentile (0 to 100) of sorted durations by the
// nearest-rank method; of none it is 0.
func Percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
