package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// newServer returns a proxy of eu-west-1 in front of the fake, with the captured credentials and a log in lines.
func newServer(t testing.TB, f *fakeAWS) (*Server, *lines) {
	t.Helper()
	l := &lines{}
	s := &Server{
		Dial: f.Dial,
		Identities: []Identity{{
			Credentials: credentials.StaticCredentialsProvider{Value: profileKey},
			Keys:        []Key{{ID: "DDBPROXYSESSION00001", Secret: "sessionsecret"}},
			Profile:     "dev",
		}},
		Regions: []string{"eu-west-1"},
		RootCAs: f.roots,
		Logger:  slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return s, l
}

// lines is a log that several goroutines may write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// listen serves h on loopback and returns its address.
func listen(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	var serve sync.WaitGroup
	serve.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		serve.Wait()
	})
	return l.Addr().String()
}

// signed returns a request to the proxy as the Go SDK would sign it, with any credentials and region.
func signed(t testing.TB, op, body string, creds aws.Credentials, region string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://localhost:8000/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	sign(t, r, body, creds, region)
	return r
}

// sign signs r as it is, at the present.
func sign(t testing.TB, r *http.Request, body string, creds aws.Credentials, region string) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "dynamodb", region, time.Now()); err != nil {
		t.Fatal(err)
	}
}
