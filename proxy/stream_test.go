package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
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
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
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

func TestAnswerIsPassedOnAsItArrives(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	release := make(chan struct{})
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

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	s, log := newServer(t, f)
	addr := listen(t, s)

	// A client that sends all before it reads still sees the answer.
	for name, size := range map[string]int64{"a byte too many": maxBody + 1, "all that is drained": maxDrain, "more than is drained": maxDrain + 1} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", size)
		if size <= maxDrain {
			if _, err := io.CopyN(conn, zeros{}, size); err != nil {
				t.Fatalf("%s: the proxy stopped reading: %v", name, err)
			}
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "#ValidationException") || !strings.Contains(string(body), "larger than 17 MiB") {
			t.Errorf("%s: answer = %d %s", name, resp.StatusCode, body)
		}
		conn.Close()
	}

	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nshort")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "shorter than its Content-Length; nothing was sent to AWS") || !strings.Contains(string(answer), "Connection: close") {
		t.Errorf("answer to a truncated body = %q, %v", answer, err)
	}
	if !strings.Contains(log.String(), "shorter than its Content-Length") {
		t.Errorf("log = %s", log)
	}
	if got := f.requests(); len(got) != 0 {
		t.Errorf("AWS received %d requests, want none", len(got))
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestHealthLineAndHTTP2(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFakeAWS(t))
	addr := listen(t, s)
	for _, tt := range []struct {
		name, raw, want string
		status          int
	}{
		{"health", "GET / HTTP/1.1\r\nHost: localhost:8000\r\n\r\n", "ddbproxy: ready for DynamoDB eu-west-1\n", 200},
		{"health from elsewhere", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "Host header", 403},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 is not spoken here", 505},
		{"other path", "GET /tables HTTP/1.1\r\nHost: localhost\r\n\r\n", "MissingAuthenticationTokenException", 400},
		{"HTTP/1.0 without Host", "POST / HTTP/1.0\r\n\r\n", "Host header", 403},
	} {
		resp, body := exchangeRaw(t, addr, []byte(tt.raw))
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: answer = %d %q, want %d with %q", tt.name, resp.StatusCode, body, tt.status, tt.want)
		}
	}
}

func TestClientsOfOtherServicesGetXML(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFakeAWS(t))
	auth := "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE00000TEST/20261124/eu-west-1/SERVICE/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64) + "\r\n"
	addr := listen(t, s)
	for name, raw := range map[string]string{
		"sts":          "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n" + strings.Replace(auth, "SERVICE", "sts", 1) + "\r\n",
		"unsigned sts": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n",
		"s3":           "GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Replace(auth, "SERVICE", "s3", 1) + "\r\n",
	} {
		resp, body := exchangeRaw(t, addr, []byte(raw))
		var got struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Code    string   `xml:"Error>Code"`
			Message string   `xml:"Error>Message"`
			ID      string   `xml:"RequestId"`
		}
		if err := xml.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 400 || resp.Header.Get("Content-Type") != "text/xml" {
			t.Errorf("%s: answer = %d %s, %v, want 400 XML", name, resp.StatusCode, body, err)
			continue
		}
		want := "AccessDenied"
		if name == "unsigned sts" {
			want = "MissingAuthenticationToken"
		} else if !strings.Contains(got.Message, "set AWS_ENDPOINT_URL_DYNAMODB") {
			t.Errorf("%s: message = %q", name, got.Message)
		}
		if got.Code != want || got.ID != resp.Header.Get("X-Amzn-Requestid") {
			t.Errorf("%s: code %s id %s, want %s and the id of the header", name, got.Code, got.ID, want)
		}
	}
}

func TestRPCv2CBORIsRoutedByPathAndAnsweredInKind(t *testing.T) {
	t.Parallel()
	const body = "\xa1\x69TableName\x62t1"
	request := func(region string) *http.Request {
		r, err := http.NewRequest(http.MethodPost, "http://localhost:8000/eu-west-1/service/DynamoDB_20120810/operation/GetItem", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		r.Header.Set("Content-Type", "application/cbor")
		sign(t, r, body, profileKey, region)
		return r
	}
	f := newFakeAWS(t)
	s, log := newServer(t, f)
	if w := ask(s, request("eu-west-1")); w.Code != http.StatusOK {
		t.Fatalf("answer = %d %q, want 200", w.Code, w.Body)
	}
	got := f.requests()[0]
	if got.uri != "/service/DynamoDB_20120810/operation/GetItem" || got.body != body || got.header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("AWS received %+v", got)
	}
	if !strings.Contains(log.String(), "op=GetItem") {
		t.Errorf("log = %s", log)
	}

	s.Dial = failingDial(hopFailure{"ssh", "x", true})
	s.transport.CloseIdleConnections()
	w := ask(s, request("eu-west-1"))
	want := "\xa2\x79\x00\x06__type\x79\x00\x1a" + bastionUnreachable + "\x79\x00\x07message\x79\x00\x10ddbproxy: ssh: x"
	if w.Code != 400 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/cbor" || w.Header().Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("answer = %d %q %v, want %q", w.Code, w.Body, w.Header(), want)
	}
}

func TestPathSelectsTheRegion(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	s, _ := newServer(t, f)
	s.Regions = []string{"eu-west-1", "us-east-1"}
	w := ask(s, at("/us-east-1/", "DynamoDB_20120810.GetItem")(t))
	if w.Code != http.StatusOK || f.requests()[0].host != "dynamodb.us-east-1.amazonaws.com" || f.requests()[0].uri != "/" {
		t.Errorf("answer = %d %s, AWS received %+v", w.Code, w.Body, f.requests())
	}
}

func TestEndpointReplacesTheNameItFits(t *testing.T) {
	t.Parallel()
	const vpce = "vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com"
	for _, tt := range []struct{ endpoint, target, want string }{
		{"", "DynamoDB_20120810.GetItem", "dynamodb.eu-west-1.amazonaws.com"},
		{vpce, "DynamoDB_20120810.GetItem", vpce},
		{vpce, "DynamoDBStreams_20120810.ListStreams", "streams.dynamodb.eu-west-1.amazonaws.com"},
		{"dynamodb-fips.eu-west-1.amazonaws.com", "DynamoDB_20120810.GetItem", "dynamodb-fips.eu-west-1.amazonaws.com"},
		{"dynamodb-fips.us-east-1.amazonaws.com", "DynamoDB_20120810.GetItem", "dynamodb-fips.eu-west-1.amazonaws.com"},
	} {
		f := newFakeAWS(t)
		s, _ := newServer(t, f)
		s.Endpoint = tt.endpoint
		w := ask(s, at("/", tt.target)(t))
		if w.Code != http.StatusOK || f.requests()[0].host != tt.want {
			t.Errorf("endpoint %q, %s: answer = %d %s, want %s to be asked", tt.endpoint, tt.target, w.Code, w.Body, tt.want)
		}
	}
}

func TestCloseEndsARequestInFlightAndRefusesLaterOnes(t *testing.T) {
	t.Parallel()
	f := newFakeAWS(t)
	arrived := make(chan struct{})
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	s, _ := newServer(t, f)
	addr := listen(t, s)
	failed := make(chan error, 1)
	go func() {
		resp, err := get(t, addr)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	closed := make(chan struct{})
	go func() { _ = s.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for a request that AWS does not answer")
	}
	if err := <-failed; err == nil {
		t.Error("the request in flight was answered, want it cut")
	}
	wantError(t, ask(s, signed(t, "GetItem", getItem, profileKey, "eu-west-1")), 503, unavailable, "shutting down")
}
