package proxy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The credentials of the captured requests, which these tests use throughout.
var profileKey = aws.Credentials{AccessKeyID: "AKIDEXAMPLE00000TEST", SecretAccessKey: "dummysecret", SessionToken: "DUMMYTOKEN"}

// A fakeAWS plays DynamoDB: TLS with a certificate for its names, and the signature of every request checked with the
// SDK's signer as a service would. What it answers is up to handle.
type fakeAWS struct {
	t      testing.TB
	creds  aws.Credentials
	other  aws.Credentials // accepted too
	roots  *x509.CertPool
	server http.Server
	conns  *chanListener
	serve  sync.WaitGroup

	mu     sync.Mutex
	handle http.HandlerFunc // nil answers {"ok":true}
	got    []received
	dials  int
}

// received is one request as it came.
type received struct {
	host, uri string
	header    http.Header
	body      string
}

const okBody = `{"ok":true}`

func newFakeAWS(t testing.TB) *fakeAWS {
	t.Helper()
	f := &fakeAWS{t: t, creds: profileKey, conns: newChanListener()}
	cert, roots := newCertificate(t, time.Now().Add(24*time.Hour))
	f.roots = roots
	f.server.Handler = http.HandlerFunc(f.serveHTTP)
	f.server.ErrorLog = log.New(io.Discard, "", 0)
	listener := tls.NewListener(f.conns, &tls.Config{Certificates: []tls.Certificate{cert}})
	f.serve.Go(func() { _ = f.server.Serve(listener) })
	t.Cleanup(func() {
		_ = f.server.Close()
		f.conns.Close()
		f.serve.Wait()
	})
	return f
}

// newCertificate makes a certificate for the DynamoDB names used in tests, and the pool that trusts it.
func newCertificate(t testing.TB, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pretend authority"},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{
			"dynamodb.eu-west-1.amazonaws.com", "streams.dynamodb.eu-west-1.amazonaws.com", "dynamodb.us-east-1.amazonaws.com",
			"dynamodb-fips.eu-west-1.amazonaws.com", "*.dynamodb.eu-west-1.vpce.amazonaws.com",
		},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// Dial is a tunnel's: it connects to the fake whatever the address, in memory.
func (f *fakeAWS) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	near, far := net.Pipe()
	f.mu.Lock()
	f.dials++
	f.mu.Unlock()
	select {
	case f.conns.c <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.conns.done:
		return nil, errors.New("fake AWS is closed")
	}
}

func (f *fakeAWS) answer(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handle = h
}

func (f *fakeAWS) requests() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got)
}

func (f *fakeAWS) dialled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials
}

func (f *fakeAWS) serveHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	creds := f.creds
	if other := f.other; other.AccessKeyID != "" && strings.Contains(r.Header.Get("Authorization"), "Credential="+other.AccessKeyID+"/") {
		creds = other
	}
	if err := checkSignature(r, body, creds); err != nil {
		http.Error(w, `{"__type":"InvalidSignatureException","message":"`+err.Error()+`"}`, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.got = append(f.got, received{r.Host, r.RequestURI, r.Header.Clone(), string(body)})
	handle := f.handle
	f.mu.Unlock()
	if handle == nil {
		handle = func(w http.ResponseWriter, r *http.Request) { awsAnswer(w, http.StatusOK, okBody) }
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	handle(w, r)
}

// awsAnswer writes an answer with DynamoDB's headers.
func awsAnswer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-Requestid", "REQUESTIDOFAWS")
	w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE([]byte(body))))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// checkSignature signs what was received once more, with the SDK's signer and only the headers named as signed.
func checkSignature(r *http.Request, body []byte, creds aws.Credentials) error {
	auth := r.Header.Get("Authorization")
	again, err := resign(r, body, creds)
	if err != nil {
		return err
	}
	if again != auth {
		return fmt.Errorf("signature differs")
	}
	return nil
}

// resign returns the Authorization that the SDK's signer gives for the request as received.
func resign(r *http.Request, body []byte, creds aws.Credentials) (string, error) {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	credential, _, _ := strings.Cut(rest, ",")
	scope := strings.Split(credential, "/")
	_, rest, _ = strings.Cut(rest, "SignedHeaders=")
	signed, _, _ := strings.Cut(rest, ",")
	date, err := time.Parse(amzDateFmt, r.Header.Get("X-Amz-Date"))
	if err != nil || len(scope) != 5 {
		return "", fmt.Errorf("not signed: %w", cmp.Or(err, errors.New("scope")))
	}
	out, err := http.NewRequest(r.Method, "https://"+r.Host+r.URL.EscapedPath(), nil)
	if err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(signed, ";") {
		switch name {
		case "host":
		case "content-length":
			out.ContentLength = int64(len(body))
		default:
			out.Header[http.CanonicalHeaderKey(name)] = r.Header[http.CanonicalHeaderKey(name)]
		}
	}
	if got := r.Header.Get("X-Amz-Security-Token"); got != creds.SessionToken {
		return "", errors.New("session token differs")
	}
	if !strings.Contains(signed, "x-amz-security-token") {
		creds.SessionToken = "" // or the signer would add and sign it
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(context.Background(), creds, out, hex.EncodeToString(sum[:]), scope[3], scope[2], date)
	return out.Header.Get("Authorization"), err
}

// chanListener is a net.Listener of connections made by Dial.
type chanListener struct {
	c    chan net.Conn
	done chan struct{}
	once sync.Once
}

func newChanListener() *chanListener {
	return &chanListener{c: make(chan net.Conn), done: make(chan struct{})}
}

func (l *chanListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.c:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *chanListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *chanListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }
