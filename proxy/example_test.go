package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/ddbproxy/ddbproxy/proxy"
)

// A client that does not sign is told how to.
func ExampleServer() {
	s := &proxy.Server{
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return nil, errors.New("a tunnel's DialContext belongs here")
		},
		Identities: []proxy.Identity{{
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
			Keys:        []proxy.Key{proxy.NewKey()},
		}},
		Regions: []string{"eu-west-1"},
	}
	defer s.Close()

	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", "http://localhost:8000/", strings.NewReader("{}")))
	fmt.Println(w.Code)
	fmt.Println(w.Body)
	// Output:
	// 400
	// {"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"ddbproxy: the request is not signed; give the client credentials: run eval \"$(ddbproxy env)\" in its shell"}
}
