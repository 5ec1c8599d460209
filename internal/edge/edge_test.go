package edge

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.uber.org/goleak"

	"github.com/ddbproxy/ddbproxy/internal/tinydb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	host   = "dynamodb.eu-west-1.amazonaws.com"
	vpce   = "vpce-0123456789abcdef0"
	keyID  = "AKIAEXAMPLE"
	secret = "not-so-secret"
	token  = "a-session-token"
)

// door is a running Server with one way in from the internet and one from the VPC.
type door struct {
	*Server
	internet, vpc net.Listener
}

// open starts s, with what it lacks filled in, and ends it with the test.
func open(t testing.TB, s *Server) *door {
	t.Helper()
	var err error
	if s.CA, err = NewCA(); err != nil {
		t.Fatal(err)
	}
	if s.Users == nil {
		s.Users = map[string]User{keyID: {Secret: secret, Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/dev"}}
	}
	if s.Backend == nil {
		s.Backend = &tinydb.DB{}
	}
	d := &door{Server: s, internet: listen(t), vpc: listen(t)}
	served := make(chan error, 2)
	go func() { served <- s.Serve(d.internet) }()
	go func() { served <- s.Serve(Entrance(d.vpc, vpce)) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for range 2 {
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve: %v, want http.ErrServerClosed", err)
			}
		}
	})
	return d
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// client gives an HTTP client for which every name is at l.
func (d *door) client(t testing.TB, l net.Listener) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DisableCompression: true,
		TLSClientConfig:    &tls.Config{RootCAs: d.CA.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(4)},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// sdk gives a DynamoDB client whose endpoint name is the SDK's own choice.
func (d *door) sdk(t testing.TB, l net.Listener, options ...func(*dynamodb.Options)) *dynamodb.Client {
	t.Helper()
	return dynamodb.New(dynamodb.Options{
		Region:      "eu-west-1",
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
		HTTPClient:  d.client(t, l),
		Retryer:     aws.NopRetryer{},
	}, options...)
}

// signed makes a request as the SDKs do, signed at the given time.
func signed(t testing.TB, op, body string, at time.Time, creds aws.Credentials) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", "https://"+host+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	resign(t, r, body, at, creds)
	return r
}

func resign(t testing.TB, r *http.Request, body string, at time.Time, creds aws.Credentials) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "dynamodb", "eu-west-1", at); err != nil {
		t.Fatal(err)
	}
}

func longTerm() aws.Credentials {
	return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
}

// send gives the status and body of an answer.
func send(t testing.TB, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(r)
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

func coralJSON(name, msg string) string {
	return fmt.Sprintf(`{"__type":"com.amazon.coral.service#%s","message":"%s"}`, name, msg)
}
