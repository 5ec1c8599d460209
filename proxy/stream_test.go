package proxy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// get sends a GetItem to the proxy at addr over TCP, signed with the session key and without Accept-Encoding.
func get(t *testing.T, addr string) (*http.Response, error) {
	t.Helper()
	r := by("DDBPROXYSESSION00001", "sessionsecret", "", "eu-west-1")(t)
	r.Host = r.URL.Host // as signed
	r.URL.Host = addr
	r.Header.Set("User-Agent", "")
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true, ResponseHeaderTimeout: 10 * time.Second}
	return transport.RoundTrip(r)
}

func TestAnswerPassesByteForByte(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, strings.Repeat(okBody, 1000))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f := newFakeAWS(t)
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Tue, 24 Nov 2026 00:00:00 GMT")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "1")
		w.Header().Set("Keep-Alive", "timeout=60")
		awsAnswer(w, http.StatusOK, packed.String())
	})
	s, _ := newServer(t, f)
	resp, err := get(t, listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(body, packed.Bytes()) {
		t.Errorf("body = %d bytes, %v, want the %d that AWS sent", len(body), err, packed.Len())
	}
	if _, asked := f.requests()[0].header["Accept-Encoding"]; asked {
		t.Error("the proxy asked for gzip on its own")
	}
	if got, added := f.requests()[0].header["User-Agent"]; added {
		t.Errorf("AWS received User-Agent %q, want none as the client sent none", got)
	}
	got := resp.Header.Clone()
	got.Del("Connection") // between client and proxy
	want := http.Header{
		"Date": {"Tue, 24 Nov 2026 00:00:00 GMT"}, "Content-Encoding": {"gzip"}, "Content-Type": {"application/x-amz-json-1.0"},
		"X-Amzn-Requestid": {"REQUESTIDOFAWS"}, "X-Amz-Crc32": crcOf(packed.Bytes()), "Content-Length": resp.Header["Content-Length"],
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("header = %v, want %v", got, want)
	}
}

func crcOf(body []byte) []string {
	w := httptest.NewRecorder()
	awsAnswer(w, http.StatusOK, string(body))
	return w.Header()["X-Amz-Crc32"]
}

func TestNothingIsAddedToAnAnswer(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"], w.Header()["Content-Type"] = nil, nil
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "{}")
	})
	s, _ := newServer(t, f)
	resp, err := get(t, listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	resp.Header.Del("Connection") // between client and proxy
	if want := (http.Header{"Content-Length": {"2"}}); !maps.EqualFunc(resp.Header, want, slices.Equal) {
		t.Errorf("header = %v, want %v", resp.Header, want)
	}
}

func TestAnswerIsPassedOnAsItArrives(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	release := make(chan struct{})
	defer func() { // also where the test ends early
		select {
		case <-release:
		default:
			close(release)
		}
	}()
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "second")
	})
	s, _ := newServer(t, f)
	resp, err := get(t, listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 6)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first " {
		t.Fatalf("read %q, %v before the answer's end", first, err)
	}
	close(release)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("read %q, %v, want the rest", rest, err)
	}
}

func TestBrokenAnswerIsBrokenForTheCallerToo(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]string{"with a length": "100", "chunked": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAWS(t)
			f.answer(func(w http.ResponseWriter, r *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				_, _ = io.WriteString(w, "half of it")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			s, log := newServer(t, f)
			resp, err := get(t, listen(t, s))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("read %q, %v, want an unexpected EOF", body, err)
			}
			if !strings.Contains(log.String(), "answer broke after 10 bytes") {
				t.Errorf("log = %s", log)
			}
			if got := len(f.requests()); got != 1 {
				t.Errorf("sent %d times, want 1: the answer had begun", got)
			}
		})
	}
}
