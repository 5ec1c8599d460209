package edge

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

func packed(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEmulatorAnswersPassByteForByte(t *testing.T) {
	t.Parallel()
	zipped := packed(t, `{"TableNames":["from the emulator"]}`)
	plain := []byte(`{"TableNames": [ ] }`)
	for _, c := range []struct {
		name        string
		given       http.Header
		body        []byte
		wantCRC, id string
	}{
		{"its own checksum and id", http.Header{"X-Amz-Crc32": {"12345"}, "X-Amzn-Requestid": {"ITS-OWN"}}, plain, "12345", "ITS-OWN"},
		{"neither", http.Header{}, plain, fmt.Sprint(crc32.ChecksumIEEE(plain)), ""},
		{"compressed", http.Header{"Content-Encoding": {"gzip"}}, zipped, fmt.Sprint(crc32.ChecksumIEEE(zipped)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got *http.Request
			var gotBody []byte
			emulator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r
				gotBody, _ = io.ReadAll(r.Body)
				w.Header().Set("Content-Type", "application/x-amz-json-1.0")
				for name, values := range c.given {
					w.Header()[name] = values
				}
				_, _ = w.Write(c.body)
			}))
			t.Cleanup(emulator.Close)
			u, err := url.Parse(emulator.URL)
			if err != nil {
				t.Fatal(err)
			}
			d := open(t, &Server{Backend: Emulator(u, nil)})
			r := signed(t, "ListTables", `{"Limit": 1}`, time.Now(), longTerm())
			resp, body := send(t, d.client(t, d.internet), r)
			if !bytes.Equal([]byte(body), c.body) || resp.Header.Get("Content-Encoding") != c.given.Get("Content-Encoding") {
				t.Errorf("body %q (%s), want %q", body, resp.Header.Get("Content-Encoding"), c.body)
			}
			if crc := resp.Header.Get("X-Amz-Crc32"); crc != c.wantCRC {
				t.Errorf("x-amz-crc32 = %s, want %s", crc, c.wantCRC)
			}
			if id := resp.Header.Get("x-amzn-RequestId"); c.id != "" && id != c.id || len(id) != 52 && c.id == "" {
				t.Errorf("x-amzn-RequestId = %q, want %q or a new one", id, c.id)
			}
			// The emulator picks its database by the access key and region signed.
			if got.Header.Get("Authorization") != r.Header.Get("Authorization") || string(gotBody) != `{"Limit": 1}` || got.Header.Get("Accept-Encoding") != "" {
				t.Errorf("emulator got %v %s, want what the client sent", got.Header, gotBody)
			}
		})
	}
}

func TestEmulatorThatIsNotThereIsAnInternalError(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	u, err := url.Parse(gone.URL)
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	d := open(t, &Server{Backend: Emulator(u, nil)})
	resp, body := send(t, d.client(t, d.internet), signed(t, "ListTables", `{}`, time.Now(), longTerm()))
	if resp.StatusCode != 500 || body != `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"The request processing has failed because of an unknown error, exception or failure."}` {
		t.Errorf("answer %d %s", resp.StatusCode, body)
	}
	if got, want := d.Seen().Ops["ListTables"], (Count{Received: 1, Failed: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// noticing is an emulator that tells when the server knows that a caller left.
type noticing struct {
	*emulator
	left chan struct{}
}

func (n *noticing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	context.AfterFunc(r.Context(), func() { close(n.left) })
	n.emulator.ServeHTTP(w, r)
}

// DynamoDB carries out what it has received, and so it is counted.
func TestEmulatorFinishesWhatACallerDoesNotWaitFor(t *testing.T) {
	t.Parallel()
	begun, proceed := make(chan struct{}), make(chan struct{})
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-proceed
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(far.Close)
	u, err := url.Parse(far.URL)
	if err != nil {
		t.Fatal(err)
	}
	backend := &noticing{Emulator(u, nil).(*emulator), make(chan struct{})}
	d := open(t, &Server{Backend: backend})
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	client, r := d.client(t, d.internet), signed(t, "PutItem", `{}`, time.Now(), longTerm()).WithContext(ctx)
	go func() {
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		gone <- err
	}()
	<-begun
	leave()
	if err := <-gone; err == nil {
		t.Fatal("the call was answered, want its caller gone")
	}
	<-backend.left
	close(proceed)
	if err := d.Shutdown(t.Context()); err != nil { // waits for the handler
		t.Fatal(err)
	}
	if got, want := d.Seen().Ops["PutItem"], (Count{Received: 1, Applied: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}
