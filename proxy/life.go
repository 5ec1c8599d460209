package proxy

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// tidyAfter is how long after the last of a rush its memory goes back to the system: the pool has let its connections go by
// then, and their ends have been worked off. The runtime would take many times as long.
const tidyAfter = calmAfter + time.Second

func tidy() {
	runtime.GC() // what is in a sync.Pool outlives one collection
	debug.FreeOSMemory()
}

// init makes the parts that a Server's fields do not have; the first call of any method does it.
func (s *Server) init() {
	s.once.Do(func() {
		s.life, s.end = context.WithCancel(context.Background())
		s.identities = s.newIdentities()
		s.clock = &clock{now: s.Now}
		if s.Now == nil {
			s.clock.now = time.Now
		}
		if s.Logger == nil {
			s.Logger = slog.New(slog.DiscardHandler)
		}
		s.link.log = s.Logger
		if s.Endpoint != "" {
			s.endpoint, s.endpointErr = endpoint.Parse(s.Endpoint)
		}
		if s.region = s.endpoint.Region; len(s.Regions) > 0 {
			s.region = s.Regions[0]
		}
		s.sessions = tls.NewLRUClientSessionCache(64)
		s.tidy = time.AfterFunc(tidyAfter, tidy)
		s.pool.Store(s.newPool())
		host, _ := s.hostFor(endpoint.DynamoDB, s.region) // Warm reports the error
		addr := net.JoinHostPort(host, "443")
		s.spares = newSpares(addr, func(ctx context.Context) (*upstreamConn, error) {
			ctx, cancel := context.WithTimeout(ctx, max(s.hold(), handshakeTimeout))
			defer cancel()
			return s.dialTLS(ctx, addr)
		})
	})
}

func (s *Server) hold() time.Duration {
	if s.Hold == 0 {
		return 20 * time.Second
	}
	return max(s.Hold, time.Second)
}

// enter admits one more thing that Close waits for; whoever got true calls active.Done.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active.Add(1)
	return true
}

// Warm connects to the default endpoint, so that the first request finds a connection ready, and keeps spare ones until
// Close. It returns the first error, with which a session can say at its start that DynamoDB cannot be reached; the
// spares are tried again all the same.
func (s *Server) Warm(ctx context.Context) error {
	s.init()
	host, err := s.hostFor(endpoint.DynamoDB, s.region)
	if err != nil {
		return err
	}
	if !s.enter() {
		return http.ErrServerClosed
	}
	defer s.active.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.life, cancel)
	defer stop()
	s.spares.touch()
	err = s.spares.fill(ctx)
	s.warming.Do(func() {
		if s.enter() {
			go s.keepSpares()
		}
	})
	if err != nil {
		return &UnreachableError{failure: explainAt(err, host), err: err}
	}
	return nil
}

// UnreachableError is returned by Warm: the default endpoint cannot be reached. Its text names the hop and, where one is
// known, the remedy.
type UnreachableError struct {
	failure failure
	err     error
}

func (e *UnreachableError) Error() string { return e.failure.hop + ": " + e.failure.text }
func (e *UnreachableError) Unwrap() error { return e.err }

// Hop is where things stopped: "local", "ssh", "relay", "dns", "aws", or "dial" where Dial did not say.
func (e *UnreachableError) Hop() string { return e.failure.hop }

// Permanent reports whether waiting is in vain.
func (e *UnreachableError) Permanent() bool { return e.failure.permanent }

// keepSpares ends with Close.
func (s *Server) keepSpares() {
	defer s.active.Done()
	s.spares.keep(s.life)
}

// Redial has requests from now on use new connections, because the way that Dial takes has changed for a better one. What
// is under way ends where it is.
func (s *Server) Redial() {
	s.init()
	s.pool.Swap(s.newPool()).close()
	s.spares.renew()
}

// Close ends all requests, tunnels and connections and returns when nothing of them is left. To let requests finish,
// shut the http.Server down first.
func (s *Server) Close() error {
	s.init()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.active.Wait()
	s.tidy.Stop()
	s.pool.Load().close()
	s.pooled.Wait()
	s.spares.close()
	return nil
}
