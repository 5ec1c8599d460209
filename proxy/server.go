package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// Server is the proxy. Set its fields before its first request and not after; Dial is the only one it cannot do without.
type Server struct {
	// Dial opens a connection to a DynamoDB endpoint ("host:443"). It may block while a tunnel comes back, until ctx
	// ends. Its errors, and those of its connections, may say more through the methods Hop() string and
	// Permanent() bool: a permanent one is answered at once, any other is waited out up to Hold.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialEarly may return before the far end has answered, whose refusal is then the error of the first Read: a TLS
	// handshake begins a round trip earlier. nil means Dial.
	DialEarly func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialOther opens the connections of CONNECT requests to hosts that are not DynamoDB's; nil refuses them.
	DialOther func(ctx context.Context, network, addr string) (net.Conn, error)
	// Identities are the AWS profiles that are served at the same time: the key that a caller signs with decides whose
	// credentials its requests get. None leaves proxy mode only.
	Identities []Identity
	// Regions are those served; empty serves all. The first is the default, which callers' regions "localhost" and
	// "local" stand for and which Warm connects to.
	Regions []string
	// Endpoint is an endpoint name to use for its service and region, such as the name of an interface endpoint
	// (vpce-….dynamodb.eu-west-1.vpce.amazonaws.com). A FIPS or dual-stack name makes all names so. Empty uses the
	// standard names.
	Endpoint string
	// RootCAs are the authorities that AWS's certificates may come from; nil means the system's.
	RootCAs *x509.CertPool
	// Hold is how long a request waits for a connection in all; 0 means 20 s, and less than 1 s means 1 s, which a
	// connection may take. It must stay below 60 s, when botocore sends its request again.
	Hold time.Duration
	// Compress is when reads are answered in gzip between AWS and here, for callers who ask for none and get none. Empty
	// means CompressAuto.
	Compress Compression
	// Hosts are Host header values accepted besides those of loopback and the address that a connection came to, with or
	// without a port: names that callers on other machines or in containers have for this one.
	Hosts []string
	// Logger gets one line a request at debug level; nil discards.
	Logger *slog.Logger
	// Now is the clock for signatures; nil means time.Now.
	Now func() time.Time

	once        sync.Once
	clock       *clock
	identities  []*identity
	sessions    tls.ClientSessionCache
	pool        atomic.Pointer[pool] // replaced by Redial
	pooled      sync.WaitGroup       // what pools do, replaced ones too
	spares      *spares
	region      string // default; empty where none is known
	endpoint    endpoint.Endpoint
	endpointErr error
	warming     sync.Once
	tunnels     atomic.Int64 // of proxy mode
	link        meter        // of CompressAuto
	unusable    atomic.Bool  // gzip answers are
	denied      denials
	bodies      bodies
	tidy        *time.Timer     // gives memory back once nothing happens
	life        context.Context // ends with Close; requests, dials and tunnels end with it
	end         context.CancelFunc

	mu     sync.Mutex
	closed bool
	active sync.WaitGroup // requests, dials, tunnels and the keeper of spares
}

// ServeHTTP answers one request of either mode.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	e := &entry{start: time.Now()}
	if !s.enter() {
		(&answer{status: http.StatusServiceUnavailable, kind: unavailable, message: "local: ddbproxy is shutting down", hangUp: true}).send(w, r, e.id(), s.clock)
		return
	}
	defer s.active.Done()
	defer s.tidy.Reset(tidyAfter)
	defer e.log(s.Logger)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(s.life, cancel)
	defer stop()
	r = r.WithContext(ctx)

	if r.Method == http.MethodConnect {
		s.serveConnect(w, r, e)
		return
	}
	resp, err := s.serve(w, r, e)
	if err == nil && resp == nil {
		return
	}
	if err != nil {
		e.err = err
		var a *answer
		if !errors.As(err, &a) {
			if ctx.Err() != nil {
				panic(http.ErrAbortHandler) // the caller has gone, or we go
			}
			a = &answer{status: http.StatusInternalServerError, kind: internalError, message: "local: " + err.Error()}
		}
		if !a.hangUp {
			discardBody(w, r)
		}
		e.status, e.bytes = a.status, int64(a.send(w, r, e.id(), s.clock))
		return
	}
	defer resp.Body.Close()
	e.status, e.awsID = resp.StatusCode, resp.Header.Get("X-Amzn-Requestid")
	overhear(resp, func(d denial.Denial) {
		e.denied = &Denied{Time: time.Now(), Op: e.call.op, Path: path(e.call.host), Denial: d}
		s.denied.add(*e.denied)
	})
	if e.bytes, e.err = stream(w, resp); e.err != nil {
		panic(http.ErrAbortHandler) // the caller must not take half an answer for a whole one
	}
}

// serve is the one way of an endpoint-mode request: guard, claim, body, signature, route, new signature, AWS. It returns AWS's
// answer, or an error which is an *answer if the caller is to see it, or neither when it has answered itself.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, e *entry) (*http.Response, error) {
	if r.ProtoMajor == 2 || r.Method == "PRI" {
		e.status = http.StatusHTTPVersionNotSupported
		s.Logger.Warn("a client spoke HTTP/2: let it use HTTP/1.1", "client", r.RemoteAddr)
		w.Header().Set("Connection", "close")
		http.Error(w, "ddbproxy: HTTP/2 is not spoken here; let the client use HTTP/1.1", e.status)
		return nil, nil
	}
	if err := s.guard(r); err != nil {
		return nil, err
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.Path == "/" && r.Header.Get("Authorization") == "" {
		e.status = http.StatusOK
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, strings.TrimSpace("ddbproxy: ready for DynamoDB "+strings.Join(s.Regions, " ")))
		return nil, nil
	}
	c, err := parseAuthorization(r.Header.Get("Authorization"))
	e.keyID = c.keyID
	switch {
	case err != nil:
		return nil, err
	case c.service != signingName:
		return nil, refusal(accessDenied, "only DynamoDB is served here, and this request is signed for "+oneLine(c.service, 40)+
			"; set AWS_ENDPOINT_URL_DYNAMODB (and AWS_ENDPOINT_URL_DYNAMODB_STREAMS) instead of AWS_ENDPOINT_URL")
	case r.Method != http.MethodPost:
		return nil, refusal(unknownOperation, "the method is not POST; use an AWS client")
	}
	claimed, err := s.claimedBy(r.Context(), r, c)
	if err != nil {
		return nil, err
	}
	share := &bodyShare{all: &s.bodies, source: r.Body}
	defer share.free()
	body, err := readBody(w, r, share)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	bodyHash := hex.EncodeToString(sum[:])
	creds, err := s.authenticate(r.Context(), r, c, claimed, bodyHash)
	if err != nil {
		return nil, err
	}
	call, err := s.route(r, c.region, body)
	if err != nil {
		return nil, err
	}
	call.by = claimed.identity
	e.call = call
	s.spares.touch()
	return s.send(r.Context(), r, call, bodyHash, creds)
}
