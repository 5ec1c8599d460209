// Package relayd is the program ddbproxy-relay without its main: the embedded
// bastion of the demo and of tests runs the very same code.
package relayd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/survey"
	"github.com/ddbproxy/ddbproxy/internal/version"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

const usage = `ddbproxy-relay carries connections from standard input and output to DynamoDB.
It is started over ssh by ddbproxy, or by sshd as a forced command:

  restrict,command="ddbproxy-relay -region eu-west-1" ssh-ed25519 AAAA…

It dials DynamoDB endpoints on port 443 and nothing else, listens nowhere,
writes no file, and ends with its ssh session. Asked by ddbproxy doctor, it tells
where it is (region, VPC, subnet, security groups), by the instance's metadata.

/etc/ddbproxy/relay.toml can narrow that for all relays of a machine, whatever
their flags are; what is left out limits nothing, but that interface endpoints
have to be listed:

  regions     = ["eu-west-1"]
  endpoints   = ["standard"]   # fips, dual-stack, account, privatelink, streams
  vpce        = ["vpce-0abc123"]
  prefixes    = ["52.94.24.0/23"]
  private     = true
  connections = 200            # open at a time, of one account
  bandwidth   = 5000000        # bytes a second of one relay
  idle        = "10m"          # closes connections over which nothing comes
  lifetime    = "8h"           # ends the relay; ddbproxy starts another
  audit       = true           # a line in syslog for each connection

`

// Program is one run of the relay.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Close ends a blocked read of Stdin; nil closes it if it is an io.Closer.
	Close func() error
	// Dial replaces the dialling of allowed targets; nil dials them.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Policy is the machine's policy file, PolicyFile as a rule; it may be
	// missing there, and empty is none.
	Policy string
	// Audit replaces the syslog of -audit.
	Audit io.Writer
	// Surveyor tells where this machine is; nil is by its own DNS and the instance
	// metadata.
	Surveyor *survey.Surveyor
	// Confine takes from the whole process what a relay does not need; it is called
	// once all is read and opened. nil takes nothing.
	Confine func() error
}

// Run runs the program with these arguments (without its name) and returns its
// exit code: 0 done, 1 no syslog or a client that did not speak the protocol,
// 2 wrong usage or policy.
func (p Program) Run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("ddbproxy-relay", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	var (
		regions = flags.String("region", "", "allow endpoints of these regions only (comma-separated)")
		vpce    = flags.String("vpce", "", "allow interface endpoints with these ids or names (comma-separated)")
		within  = flags.String("prefixes", "", "dial addresses in these prefixes only: the region's prefix list (comma-separated)")
		private = flags.Bool("private", false, "dial private addresses only, as interface endpoints have, beside those of -prefixes")
		named   = flags.String("policy", "", "a `file` that narrows what the flags allow, beside "+PolicyFile)
		audit   = flags.Bool("audit", false, "write a line for each connection to syslog: who, whereto, how much, how long")
		check   = flags.String("check", "", "exit 0 if this program's SHA-256 is the given one, 1 if not")
		show    = flags.Bool("version", false, "print the version")
	)
	flags.Usage = func() {
		io.WriteString(p.Stderr, usage)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case err == flag.ErrHelp:
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(p.Stderr, "ddbproxy-relay: unexpected argument %q; see -h\n", flags.Arg(0))
		return 2
	case *show:
		fmt.Fprintf(p.Stdout, "ddbproxy-relay %s, protocol %d\n", version.String(), relay.Protocol)
		return 0
	case *check != "":
		return p.check(*check)
	}
	empty := ""
	flags.Visit(func(f *flag.Flag) {
		if narrows := f.Name == "region" || f.Name == "prefixes" || f.Name == "policy"; narrows && len(list(f.Value.String())) == 0 {
			empty = f.Name
		}
	})
	if empty != "" { // a variable that is not set, say: it would limit nothing
		return p.fail(2, fmt.Errorf("-%s is given and empty; leave it out to limit nothing", empty))
	}
	given, key, err := policy{Regions: list(*regions), VPCE: list(*vpce), Prefixes: list(*within), Private: *private, Audit: *audit}.rules()
	if err != nil {
		return p.fail(2, fmt.Errorf("-%s: %w", strings.Replace(key, "regions", "region", 1), err))
	}
	policies, err := loadPolicies(p.Policy, *named)
	if err != nil {
		return p.fail(2, err)
	}
	if *vpce == "" { // then the files decide
		for _, r := range policies {
			given.allow.VPCE = append(given.allow.VPCE, r.allow.VPCE...)
		}
	}
	if err := p.relay(ctx, append(policies, given)); err != nil {
		return p.fail(1, err)
	}
	return 0
}

func (p Program) fail(code int, err error) int {
	fmt.Fprintf(p.Stderr, "ddbproxy-relay: %v\n", err)
	return code
}

// relay serves under these rules until the client leaves.
func (p Program) relay(ctx context.Context, all []rules) error {
	gate, err := p.gate(all)
	if err != nil {
		return err
	}
	server := &relay.Server{
		Allow:     func(target string) error { return allowed(all, target) },
		Dial:      gate.DialContext,
		Questions: p.surveyor().Handler(func(name string) error { return allowed(all, net.JoinHostPort(name, "443")) }),
		Version:   version.String(),
		Logger:    slog.New(slog.NewTextHandler(p.Stderr, nil)),
	}
	if slices.ContainsFunc(all, func(r rules) bool { return r.audit }) {
		w := p.Audit
		if w == nil {
			if w, err = openSyslog(); err != nil {
				return err
			}
		}
		server.Audit = newAuditor(w, server.Logger).write
	}
	if p.Confine != nil {
		if err := p.Confine(); err != nil {
			return fmt.Errorf("give up what a relay does not need: %w", err)
		}
	}
	ctx, end := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer end()
	if gate.lifetime > 0 {
		work.Go(func() { gate.expire(ctx, end) })
	}
	return p.serve(ctx, server)
}

func (p Program) surveyor() survey.Surveyor {
	if p.Surveyor != nil {
		return *p.Surveyor
	}
	return survey.Surveyor{Metadata: survey.InstanceMetadata, Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	}}
}

// gate dials as all rules have it. A limit that cannot be held here is an error.
func (p Program) gate(all []rules) (*gate, error) {
	g := &gate{dial: p.Dial}
	var addresses []endpoint.Addresses
	for _, r := range all {
		addresses = append(addresses, r.addresses)
		g.limits = g.limits.with(r.limits)
	}
	if g.dial != nil { // what it opens may be no TCP connections
		return g, nil
	}
	g.dial = dialer(addresses...).DialContext
	if g.connections > 0 {
		g.count = newCensus().count
		if _, err := g.count(time.Now()); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// serve runs the server until it ends, or for a moment longer than its stream:
// a read of a standard input that nobody closes cannot be taken back, and a
// relay whose client fell silent must not stay for it.
func (p Program) serve(ctx context.Context, server *relay.Server) error {
	io := &stdio{Reader: p.Stdin, Writer: p.Stdout, close: p.Close, closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, io) }()
	select {
	case err := <-served:
		return err
	case <-io.closed:
	}
	moment := time.NewTimer(time.Second)
	defer moment.Stop()
	select {
	case err := <-served:
		return err
	case <-moment.C:
		return errors.New("ddbproxy fell silent")
	}
}

// check compares this program's own hash: an upload proves with it that it is
// whole, and that it can run where it lies.
func (p Program) check(want string) int {
	self, err := os.Executable()
	if err != nil {
		return p.fail(1, err)
	}
	f, err := os.Open(self)
	if err != nil {
		return p.fail(1, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return p.fail(1, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return p.fail(1, fmt.Errorf("the upload is damaged: its SHA-256 is %s, not %s", got, want))
	}
	return 0
}

// list gives what commas divide, nil if that is nothing.
func list(s string) []string {
	return slices.Collect(strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' }))
}

// stdio is standard input and output as one stream.
type stdio struct {
	io.Reader
	io.Writer
	close  func() error
	once   sync.Once
	closed chan struct{}
}

func (s *stdio) Close() error {
	s.once.Do(func() { close(s.closed) })
	if s.close != nil {
		return s.close()
	}
	if c, ok := s.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
