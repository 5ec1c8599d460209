package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/relaybin"
	"github.com/ddbproxy/ddbproxy/internal/version"
	"github.com/ddbproxy/ddbproxy/proxy"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel"
)

const (
	// warmTimeout bounds the first look at DynamoDB; what takes longer is told
	// and goes on by itself.
	warmTimeout = 15 * time.Second
	// askTimeout is what a person may take to answer for the credentials.
	askTimeout = time.Minute
	// drainTimeout bounds the end: requests in flight may finish in it.
	drainTimeout = 10 * time.Second
	// idleTimeout outlasts the clients' own (90 s in Go): the side that closes
	// an idle connection first must be the client, or they race
	// (aws/aws-sdk-js-v3#1196).
	idleTimeout = 2 * time.Minute
)

// session is a tunnel with the proxy on top and its listeners.
type session struct {
	options   *connectOptions
	tunnel    *tunnel.Pool
	proxy     *proxy.Server
	server    *http.Server
	control   *control
	serving   sync.WaitGroup
	url       string
	ca        *localCA      // of https; nil: plain HTTP alone
	caBundle  string        // for AWS_CA_BUNDLE of clients
	endpoint  string        // DynamoDB's default endpoint
	reached   time.Duration // how long it took to have TLS with it; 0: not yet
	unreached error         // why not yet
	identity  string        // whose credentials
}

// connect opens a session, stays until ctx ends, and drains.
func connect(ctx context.Context, c *console, o *connectOptions) error {
	ctx, o.end = context.WithCancel(ctx)
	o.stays = !o.detached
	defer o.end()
	s, err := open(ctx, c, o)
	if err != nil {
		if ctx.Err() != nil {
			return &exitError{exitInterrupted, errInterrupted, ""}
		}
		return err
	}
	if ctx.Err() == nil {
		greet(c, s, o.detached)
	}
	<-ctx.Done()
	c.say("ddbproxy: draining; Ctrl-C again ends it at once")
	s.close(c)
	return nil
}

// open builds a session from the outside in: port, AWS settings, tunnel,
// DynamoDB. What fails leaves nothing behind.
func open(ctx context.Context, c *console, o *connectOptions) (*session, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var prompter tunnel.Prompter
	if t := openTerminal(c); t != nil {
		prompter = t
	}
	listeners, err := listen(o.listen, o.anywhere)
	if err != nil {
		return nil, ownPort(ctx, err)
	}
	closeAll := func() {
		for _, l := range listeners {
			l.Close()
		}
	}
	o.ours = listeners
	settings, err := loadAWS(ctx, o, prompter)
	if err != nil {
		closeAll()
		return nil, err
	}
	log := o.logger(c)
	ofCallers := slog.New(newSeldom(log.Handler())) // whoever they are
	if addrs := exposed(listeners); len(addrs) > 0 {
		unless := ""
		if o.tls {
			unless = " unless they use https"
		}
		log.Warn("other machines can reach the port: they need the session's or the profile's key, and what they read and write crosses the network unencrypted"+unless, "listen", strings.Join(addrs, " "))
	}
	s := &session{options: o, url: endpointURL(listeners), endpoint: o.settleEndpoint(settings)}
	if o.tls {
		if err := s.useTLS(namesBeyond(listeners, o.listenNames), settings.caBundle, log); err != nil {
			closeAll()
			return nil, err
		}
	}
	s.tunnel = newTunnel(c, o, settings, prompter, log)
	s.proxy = &proxy.Server{
		Dial:       s.tunnel.DialContext,
		DialEarly:  s.tunnel.DialEarly,
		Identities: settings.identities,
		Regions:    settings.regions,
		Endpoint:   o.endpoint,
		RootCAs:    settings.roots,
		Hold:       o.hold,
		Compress:   proxy.Compression(o.compress),
		Hosts:      o.listenNames,
		Logger:     ofCallers,
	}
	s.tunnel.Moved = s.proxy.Redial
	if s.control, err = newControl(listeners[0].Addr().String(), s); err != nil {
		log.Warn("ddbproxy env and status will not find this session", "err", err)
	}
	// Whose keys these are is found out while ssh logs in.
	identifying, stop := context.WithCancel(ctx)
	identified := make(chan struct{})
	go func() {
		defer close(identified)
		s.identity = identify(identifying, c, settings)
	}()
	if err = s.tunnel.Start(ctx); err == nil {
		if err = s.look(ctx); err == nil {
			s.serve(listeners, ofCallers)
		}
	}
	if err != nil {
		stop() // what is asked for credentials now serves nobody
	}
	<-identified // answers do not wait for it, the greeting does
	stop()
	if err != nil {
		if s.control != nil {
			s.control.Close()
		}
		closeAll()
		s.proxy.Close()
		s.tunnel.Close()
		return nil, err
	}
	o.up.Store(true)
	return s, nil
}

// newTunnel describes the way to the bastions.
func newTunnel(c *console, o *connectOptions, settings *awsSettings, prompter tunnel.Prompter, log *slog.Logger) *tunnel.Pool {
	pool := &tunnel.Pool{Logger: log}
	for _, destination := range o.destinations {
		t := &tunnel.Client{
			Destination: destination,
			ConfigFile:  o.sshConfig,
			Identities:  o.identities,
			KnownHosts:  o.knownHosts,
			SSHCommand:  o.sshCommand,
			Carrier:     tunnel.Carrier(o.carrier),
			RelayArgs:   relayArgs(settings.regions, o.endpoint),
			Program:     o.program,
			Progress:    c.progress,
			Version:     version.String(),
			Prompter:    prompter,
			Notice:      func(text string) { c.say("%s", text) },
			Logger:      log,
		}
		if len(o.destinations) > 1 {
			t.Logger = log.With("bastion", destination)
		}
		o.instance.enter(t, settings)
		pool.Bastions = append(pool.Bastions, t)
	}
	return pool
}

// look reaches for DynamoDB once. What will not pass by itself (a certificate
// that is not trusted, a name that is refused or unknown) ends the session;
// anything else is told, and requests will wait for it. An interrupt ends it.
func (s *session) look(interrupted context.Context) error {
	ctx, cancel := context.WithTimeout(interrupted, warmTimeout)
	defer cancel()
	start := time.Now()
	err := s.proxy.Warm(ctx)
	var where interface {
		Hop() string
		Permanent() bool
	}
	switch {
	case interrupted.Err() != nil:
		return context.Cause(interrupted)
	case err == nil:
		s.reached = time.Since(start)
	case errors.As(err, &where) && (where.Permanent() || where.Hop() == "dns"):
		e := &exitError{code: exitEndpoint, err: err}
		var t *tunnel.Error
		if errors.As(err, &t) {
			e.code, _ = describe(t)
		}
		if where.Hop() == "dns" {
			e.hint = noNameHint(s.endpoint)
		}
		return e
	default:
		s.unreached = err
	}
	return nil
}

// identify tells whose credentials there are. None are needed to stay up:
// proxy mode has no use for them, and an SSO login may come later.
func identify(ctx context.Context, c *console, settings *awsSettings) string {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var found []string
	for _, who := range settings.identities { // one by one, for each may ask
		by := ""
		if len(settings.identities) > 1 {
			by = who.Profile + ": "
		}
		creds, err := who.Credentials.Retrieve(ctx)
		if errors.Is(ctx.Err(), context.Canceled) {
			return "" // the session did not come to be
		}
		if err != nil {
			c.say("ddbproxy: %v", who.Explain(err))
			continue
		}
		found = append(found, by+whose(creds))
	}
	return strings.Join(found, "; ")
}

// info is what other commands need of the session.
func (s *session) info() sessionInfo {
	info := sessionInfo{
		URL: s.url, Region: s.proxy.Regions[0], Endpoint: s.endpoint, CABundle: s.caBundle,
		Bastions: s.options.destinations, Carrier: s.options.carrier, OwnSSH: s.options.hasOwnSSH(), Starting: !s.options.up.Load(),
	}
	for _, who := range s.proxy.Identities {
		info.Keys = append(info.Keys, profileKey{who.Profile, who.Keys[0].ID, who.Keys[0].Secret})
	}
	return info
}

// serve starts answering.
func (s *session) serve(listeners []net.Listener, log *slog.Logger) {
	s.server = &http.Server{
		Handler:           s.proxy,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	for _, l := range listeners {
		s.serving.Go(func() { s.server.Serve(&sniffing{l, s.ca, log}) })
	}
}

// close lets requests in flight finish, then ends everything.
func (s *session) close(c *console) {
	ctx, cancel := context.WithTimeout(c.hurry, drainTimeout)
	defer cancel()
	if s.control != nil {
		s.control.Close()
	}
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
	s.serving.Wait()
	s.proxy.Close()
	s.tunnel.Close()
}

// relayArgs narrow a relay that we start to what this session needs. A forced
// command on the bastion has its own.
func relayArgs(regions []string, endpointName string) []string {
	var args []string
	if len(regions) > 0 { // doctor may know none
		args = append(args, "-region", strings.Join(regions, ","))
	}
	if ep, err := endpoint.Parse(endpointName); err == nil && ep.VPCE != "" {
		args = append(args, "-vpce", ep.VPCE)
	}
	return args
}

// relayProgram gives the embedded relay.
func relayProgram(goos, goarch string) *tunnel.Program {
	p := relaybin.For(goos, goarch)
	if p == nil {
		return nil
	}
	return &tunnel.Program{Hash: p.Hash, Gzip: p.Gzip}
}
