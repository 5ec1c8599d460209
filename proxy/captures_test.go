package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A capture is one request of a real client.
type capture struct {
	name string // file and position
	raw  []byte
}

func captures(t testing.TB, pattern string) []capture {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/" + pattern + ".raw")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures match %q: %v", pattern, err)
	}
	var all []capture
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for part := range bytes.SplitSeq(data, []byte("## ")) {
			title, raw, ok := bytes.Cut(part, []byte("\n"))
			if !ok {
				continue // before the first title
			}
			all = append(all, capture{string(title), bytes.TrimSuffix(raw, []byte("\n\n"))})
		}
	}
	return all
}

// signedCaptures leaves out CONNECT and the unsigned one.
func signedCaptures(t testing.TB) []capture {
	t.Helper()
	all := slices.DeleteFunc(captures(t, "*"), func(c capture) bool {
		return bytes.HasPrefix(c.raw, []byte("CONNECT")) || !bytes.Contains(bytes.ToLower(c.raw), []byte("\nauthorization:"))
	})
	if len(all) != 30 {
		t.Fatalf("found %d signed captures, want 30", len(all))
	}
	return all
}

// date is the request's own time.
func (c capture) date(t testing.TB) time.Time {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.raw)))
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	date, err := time.Parse(amzDateFmt, r.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return date
}

// exchangeRaw writes raw bytes to the proxy and reads one answer.
func exchangeRaw(t testing.TB, addr string, raw []byte) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestEveryCapturedClientIsServed(t *testing.T) {
	t.Parallel()
	for _, c := range signedCaptures(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAWS(t)
			s, _ := newServer(t, f)
			date := c.date(t)
			s.Now = func() time.Time { return date }
			resp, body := exchangeRaw(t, listen(t, s), c.raw)
			if resp.StatusCode != http.StatusOK || body != okBody {
				t.Fatalf("answer = %d %s, want 200 %s", resp.StatusCode, body, okBody)
			}
			got := f.requests()
			if len(got) != 1 {
				t.Fatalf("AWS received %d requests, want 1", len(got))
			}
			sent, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.raw)))
			if err != nil {
				t.Fatal(err)
			}
			sentBody, _ := io.ReadAll(sent.Body)
			host := "dynamodb.eu-west-1.amazonaws.com"
			if strings.HasPrefix(c.name, "cliv1-streams") {
				host = "streams." + host
			}
			if got[0].host != host || got[0].uri != "/" || got[0].body != string(sentBody) {
				t.Errorf("AWS received %s %s %q, want %s / %q", got[0].host, got[0].uri, got[0].body, host, sentBody)
			}
			for _, name := range []string{"Accept-Encoding", "Content-Type", "X-Amz-Target", "User-Agent", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "X-Amz-User-Agent"} {
				if got, want := got[0].header.Values(name), sent.Header.Values(name); !slices.Equal(got, want) {
					t.Errorf("AWS received %s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestUnsignedClientIsRefused(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	s, _ := newServer(t, f)
	resp, body := exchangeRaw(t, listen(t, s), captures(t, "cliv1-nosign")[0].raw)
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "#MissingAuthenticationTokenException") || !strings.Contains(body, "ddbproxy env") {
		t.Errorf("answer = %d %s, want 400 MissingAuthenticationTokenException with the remedy", resp.StatusCode, body)
	}
	if got := f.requests(); len(got) != 0 {
		t.Errorf("AWS received %d requests, want none", len(got))
	}
}

// accepts reports whether the proxy would take a raw request for its caller's own.
func accepts(s *Server, raw []byte) bool {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return false
	}
	body, err := readBody(httptest.NewRecorder(), r, r.Body)
	if err != nil {
		return false
	}
	c, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return false
	}
	sum := sha256.Sum256(body)
	_, err = s.proved(context.Background(), r, c, hex.EncodeToString(sum[:]))
	return err == nil
}

func TestAnyChangedByteOfWhatIsSignedIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range signedCaptures(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := newServer(t, newFakeAWS(t))
			date := c.date(t)
			s.Now = func() time.Time { return date }
			s.init()
			if !accepts(s, c.raw) {
				t.Fatal("the request as captured is refused")
			}
			for _, span := range signedSpans(t, c.raw) {
				for i := span[0]; i < span[1]; i++ {
					changed := bytes.Clone(c.raw)
					changed[i] ^= 1
					if accepts(s, changed) {
						t.Errorf("accepted with byte %d changed: …%q", i, changed[max(0, i-20):i+1])
					}
				}
			}
		})
	}
}

// signedSpans returns where the path, the values of signed headers, the Authorization header and the body stand.
func signedSpans(t testing.TB, raw []byte) [][2]int {
	t.Helper()
	end := bytes.Index(raw, []byte("\r\n\r\n"))
	_, list, _ := bytes.Cut(raw, []byte("SignedHeaders="))
	list, _, _ = bytes.Cut(list, []byte(","))
	names := append(strings.Split(string(list), ";"), "authorization")
	spans := [][2]int{{bytes.IndexByte(raw, '/'), bytes.Index(raw, []byte(" HTTP/1.1"))}, {end + 4, len(raw)}}
	found := 0
	for pos := bytes.IndexByte(raw, '\n') + 1; pos < end; {
		line := raw[pos : pos+bytes.Index(raw[pos:], []byte("\r\n"))]
		name, value, _ := bytes.Cut(line, []byte(": "))
		if slices.Contains(names, strings.ToLower(string(name))) {
			spans = append(spans, [2]int{pos + len(line) - len(value), pos + len(line)})
			found++
		}
		pos += len(line) + 2
	}
	if found != len(names) {
		t.Fatalf("found %d of the signed headers %q", found, names)
	}
	return spans
}

// proved asks both questions that a request is asked, whose secret and whether it was used.
func (s *Server) proved(ctx context.Context, r *http.Request, c claim, bodyHash string) (aws.Credentials, error) {
	who, err := s.claimedBy(ctx, r, c)
	if err != nil {
		return aws.Credentials{}, err
	}
	return s.authenticate(ctx, r, c, who, bodyHash)
}
