//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// signed makes a request as an SDK would, for what no SDK sends.
func (r *rig) signed(tb testing.TB, op string, body []byte) *http.Request {
	tb.Helper()
	req, err := signedFor(tb.Context(), localURL, op, body)
	if err != nil {
		tb.Fatal(err)
	}
	return req
}

func signedFor(ctx context.Context, url, op string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	hash := sha256.Sum256(body)
	return req, v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, req,
		hex.EncodeToString(hash[:]), "dynamodb", lab.Region, time.Now())
}

// post sends a request from the laptop and returns the answer with its body.
func (r *rig) post(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, body, err := r.try(t, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// try is post for what may fail. The answer is nil where not even its head came.
func (r *rig) try(t *testing.T, req *http.Request) (*http.Response, string, error) {
	t.Helper()
	transport := &http.Transport{DialContext: r.Dialer(lab.Laptop), DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req.WithContext(soon(t)))
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// dialLocal connects to ddbproxy's port, for a minute at most.
func (r *rig) dialLocal(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := r.Dial(t.Context(), lab.Laptop, "tcp", "localhost:8000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("the laptop's connection is a %T", conn)
	}
	return tcp
}

// readAll reads until the other side closes; a reset is a close too.
func readAll(t *testing.T, conn net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Errorf("the connection stayed open for a minute after %q", b)
	}
	return string(b)
}

func TestBodyThatIsTooLargeIsRefusedInDynamoDBsWords(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	resp, body := r.post(t, r.signed(t, "PutItem", make([]byte, 20<<20)))
	if got, want := resp.StatusCode, http.StatusBadRequest; got != want {
		t.Errorf("status %d, want %d", got, want)
	}
	contains(r, body, "ValidationException", "17 MiB", "16 MB")
	if got := r.aws.Seen().Ops["PutItem"].Received; got != 0 {
		t.Errorf("AWS received %d of them, want none", got)
	}
}

// A port on localhost meets scanners, browsers, wrong URLs and crashed clients.
func TestWhatIsNotARequestDoesNotDisturb(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	s := r.connect()
	half := "POST / HTTP/1.1\r\nHost: localhost:8000\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n" +
		"Content-Type: application/x-amz-json-1.0\r\nAuthorization: AWS4-HMAC-SHA256 Credential=" + keyID +
		"/20261124/eu-west-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + strings.Repeat("0", 64) +
		"\r\nContent-Length: 100\r\n\r\n{\"Limit\": 1"
	for _, tt := range []struct{ name, sent, want string }{
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""},
		{"garbage", "\x00\xff\x13\x37 not http at all\r\n\r\n", "HTTP/1.1 400"},
		{"TLS", "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + strings.Repeat("r", 32), "\x15\x03\x01\x00\x02\x02"},
		{"nothing", "", ""},
		{"a cut request", half, "HTTP/1.1 400"},
		{"a web page", "POST / HTTP/1.1\r\nHost: localhost:8000\r\nOrigin: https://evil.example\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 403"},
		{"a rebound name", "POST / HTTP/1.1\r\nHost: evil.example:8000\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := r.dialLocal(t)
			if _, err := io.WriteString(conn, tt.sent); err != nil {
				t.Fatal(err)
			}
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, conn); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q first", got, tt.want)
			}
		})
	}
	contains(r, s.stderr.String(), "a client spoke TLS", "http://")
	if got := r.local("list-tables", "--output", "text"); got != (outcome{}) {
		t.Errorf("afterwards: %+v, want an empty list", got)
	}
}
