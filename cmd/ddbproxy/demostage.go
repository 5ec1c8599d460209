package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/ddbproxy/ddbproxy/internal/bastion"
	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/tinydb"
)

const (
	demoRegion = "eu-west-1"
	demoName   = "dynamodb." + demoRegion + ".amazonaws.com"
	demoVPCE   = "vpce-0123456789abcdef0"
	demoARN    = "arn:aws:iam::123456789012:user/dev"
)

// stage is the world of the demo: AWS's front door with a DynamoDB behind it,
// the internet's way in and the VPC endpoint's, and a bastion on the inside.
type stage struct {
	dir      string // key, known_hosts, ssh_config and the authority's certificate
	key      string // access key id of the developer
	secret   string
	ca       *edge.CA
	edge     *edge.Server
	bastion  *bastion.Server
	internet net.Addr // of the front door
	inside   net.Addr // of the VPC endpoint
	ssh      net.Addr // of the bastion
	carried  atomic.Int64
	serving  sync.WaitGroup
}

// setStage builds it on loopback ports that are free. dynamodb is the URL of an
// emulator, "" for the built-in one.
func setStage(dynamodb string, log *slog.Logger) (s *stage, err error) {
	s = &stage{key: "AKIA" + rand.Text()[:16], secret: rand.Text() + rand.Text()[:14]}
	defer func() {
		if err != nil {
			s.strike()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "ddbproxy-demo-"); err != nil {
		return s, err
	}
	var backend http.Handler = &tinydb.DB{Region: demoRegion}
	if dynamodb != "" {
		u, err := url.Parse(dynamodb)
		if err != nil || u.Host == "" {
			return s, usageError("give --dynamodb a URL such as http://localhost:8042", "--dynamodb %s: not a URL", dynamodb)
		}
		probe, err := net.DialTimeout("tcp", u.Host, 5*time.Second)
		if err != nil {
			return s, &exitError{exitUsage, fmt.Errorf("no emulator answers at %s: %w", dynamodb, err), "start it first, or leave --dynamodb out"}
		}
		probe.Close()
		backend = edge.Emulator(u, log)
	}
	if s.ca, err = edge.NewCA(); err != nil {
		return s, err
	}
	s.edge = &edge.Server{
		CA:      s.ca,
		Region:  demoRegion,
		Users:   map[string]edge.User{s.key: {Secret: s.secret, Account: "123456789012", ARN: demoARN}},
		Policy:  edge.Policy{SourceVpce: demoVPCE},
		Backend: backend,
	}
	if s.internet, err = s.listen(s.edge.Serve); err != nil {
		return s, err
	}
	if s.inside, err = s.listen(func(l net.Listener) error { return s.edge.Serve(edge.Entrance(l, demoVPCE)) }); err != nil {
		return s, err
	}
	hostKey, _, err := newSSHKey()
	if err != nil {
		return s, err
	}
	userKey, userPEM, err := newSSHKey()
	if err != nil {
		return s, err
	}
	s.bastion = &bastion.Server{HostKey: hostKey, Authorized: []ssh.PublicKey{userKey.PublicKey()}, Dial: s.dialInside, Logger: log}
	if s.ssh, err = s.listen(s.bastion.Serve); err != nil {
		return s, err
	}
	knownHost := knownhosts.Line([]string{knownhosts.Normalize(s.ssh.String())}, hostKey.PublicKey()) + "\n"
	for name, data := range map[string][]byte{
		"id_ed25519":  userPEM,
		"known_hosts": []byte(knownHost),
		"ssh_config":  nil,
		"ca.pem":      s.ca.PEM(),
	} {
		if err = os.WriteFile(s.file(name), data, 0o600); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *stage) file(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) listen(serve func(net.Listener) error) (net.Addr, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.serving.Go(func() { serve(l) })
	return l.Addr(), nil
}

// dialInside is the bastion's network: DynamoDB's names lead to the VPC
// endpoint, and there is nothing else.
func (s *stage) dialInside(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	if !strings.HasSuffix(host, "."+demoRegion+".amazonaws.com") {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, s.inside.String())
	if err != nil {
		return nil, err
	}
	return &countedConn{conn, &s.carried}, nil
}

// strike takes it all down.
func (s *stage) strike() error {
	var errs []error
	if s.bastion != nil {
		errs = append(errs, s.bastion.Close())
	}
	if s.edge != nil {
		errs = append(errs, s.edge.Close())
	}
	s.serving.Wait()
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

func newSSHKey() (ssh.Signer, []byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "ddbproxy demo")
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	return signer, pem.EncodeToMemory(block), err
}

// countedConn counts what the bastion carries to and from DynamoDB.
type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *countedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("close one way: %w", errors.ErrUnsupported)
}
