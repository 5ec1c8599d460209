package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is the front door of DynamoDB in one region. Set the fields before the
// first Serve and leave them then. Several listeners may be served at once.
type Server struct {
	// CA issues the server's certificate. There must be one.
	CA *CA
	// Names are the host names served. A client's SNI must be one of them and its Host
	// must equal its SNI. Empty means the names of DynamoDB in Region: standard, FIPS
	// and dual stack, and the account-based ones of all Users' accounts; and STS's,
	// which only tells who calls.
	Names []string
	// Region is the only one signatures may be scoped to; empty means eu-west-1.
	Region string
	// Users may call, by access key id; nobody else.
	Users map[string]User
	// Policy is what every user's identity-based policy says.
	Policy Policy
	// SourceVpce tells through which VPC endpoint a connection came, "" for the
	// internet. It is given the connection that the listener accepted. nil means
	// FromEntrance.
	SourceVpce func(net.Conn) string
	// Backend does the work: a tinydb.DB, or an Emulator. It sees authorised requests
	// only, with all their headers. nil answers InternalServerError.
	Backend http.Handler
	// Clock is AWS's time, for checking signatures and for the Date header; nil means
	// time.Now.
	Clock func() time.Time
	// IdleTimeout is how long a connection may carry no request; 0 means 60 s, which
	// is about DynamoDB's own.
	IdleTimeout time.Duration
	// Fault, if set, is asked about each authorised request: the operation and how
	// many times it was called, this time included.
	Fault func(op string, n int) Action
	// Keep is how many requests' headers Seen holds; 0 means 64, negative none.
	Keep int
	// Logger gets one debug line a request; nil discards.
	Logger *slog.Logger

	start sync.Once
	err   error // of start
	http  *http.Server
	tls   *tls.Config
	seen  ledger
}

// Serve answers the connections that l accepts until Shutdown or Close, and then
// returns http.ErrServerClosed. It makes the TLS itself and closes l.
func (s *Server) Serve(l net.Listener) error {
	s.start.Do(s.begin)
	if s.err != nil {
		_ = l.Close()
		return s.err
	}
	return s.http.Serve(tls.NewListener(l, s.tls))
}

// Shutdown closes the listeners and waits for requests in flight and for all
// connections to end; when ctx is done first it returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.start.Do(s.begin)
	defer s.closeBackend()
	s.seen.refuseNew()
	if err := s.http.Shutdown(ctx); err != nil {
		return err
	}
	select {
	case <-s.seen.drained():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the listeners and all connections, and waits for their goroutines.
func (s *Server) Close() error {
	s.start.Do(s.begin)
	defer s.closeBackend()
	s.seen.refuseNew()
	err := s.http.Close()
	<-s.seen.drained()
	return err
}

// Seen gives a copy of what the server has counted so far.
func (s *Server) Seen() Seen { return s.seen.snapshot() }

func (s *Server) closeBackend() {
	if c, ok := s.Backend.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// vpceKey is the context key of the connection's VPC endpoint id.
type vpceKey struct{}

// begin puts the HTTP server together, once.
func (s *Server) begin() {
	idle := s.IdleTimeout
	if idle == 0 {
		idle = time.Minute
	}
	s.seen.keep = s.Keep
	if s.Keep == 0 {
		s.seen.keep = 64
	}
	var http1 http.Protocols // DynamoDB speaks nothing newer
	http1.SetHTTP1(true)
	s.http = &http.Server{
		Handler:     http.HandlerFunc(s.serveHTTP),
		Protocols:   &http1,
		IdleTimeout: idle,
		// Also the time a warmed connection may wait for its first request.
		ReadHeaderTimeout: idle,
		ErrorLog:          slog.NewLogLogger(s.logger().Handler(), slog.LevelDebug),
		ConnState:         s.seen.connState,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			source := s.SourceVpce
			if source == nil {
				source = FromEntrance
			}
			if t, ok := c.(*tls.Conn); ok {
				c = t.NetConn()
			}
			return context.WithValue(ctx, vpceKey{}, source(c))
		},
	}
	if s.CA == nil {
		s.err = errors.New("edge: serve: no CA to issue a certificate")
		return
	}
	names := s.names()
	cert, err := s.CA.Issue(names...)
	if err != nil {
		s.err = err
		return
	}
	s.tls = &tls.Config{
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if !slices.Contains(names, strings.ToLower(hello.ServerName)) {
				return nil, nil // makes crypto/tls send unrecognized_name
			}
			return &cert, nil
		},
		VerifyConnection: s.seen.handshake,
	}
}

func (s *Server) now() time.Time {
	if s.Clock == nil {
		return time.Now()
	}
	return s.Clock()
}

func (s *Server) region() string {
	if s.Region == "" {
		return "eu-west-1"
	}
	return s.Region
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

// names gives Names or their default.
func (s *Server) names() []string {
	if len(s.Names) > 0 {
		return s.Names
	}
	region := s.region()
	names := []string{"dynamodb." + region + ".amazonaws.com", "dynamodb-fips." + region + ".amazonaws.com", "dynamodb." + region + ".api.aws",
		"sts." + region + ".amazonaws.com"}
	var accounts []string
	for _, user := range s.Users {
		if user.Account != "" {
			accounts = append(accounts, user.Account)
		}
	}
	slices.Sort(accounts)
	for _, account := range slices.Compact(accounts) {
		names = append(names, account+".ddb."+region+".amazonaws.com", account+".ddb."+region+".api.aws")
	}
	return names
}
