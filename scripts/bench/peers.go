//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// The peers. Those of ddbproxy have a number from the second ddbproxy on.
const (
	onBastion = "bastion" // no tunnel: the client is on the bastion
	sshL      = "ssh-L"
	sshD      = "ssh-D"
	sshuttle  = "sshuttle"
	relay     = "relay"   // ddbproxy --carrier relay, as an endpoint
	relay2    = "relay2"  // that of a second program
	forward   = "forward" // ddbproxy --carrier forward
	proxy     = "proxy"   // ddbproxy --carrier relay as HTTPS_PROXY: the clients do their own TLS
)

// others are the ways to compare with.
var others = []string{sshL, sshD, sshuttle}

// peer is a way to DynamoDB that is up.
type peer struct {
	name string
	url  string
	dial dialFunc
	tls  *tls.Config
	cmd  *exec.Cmd // on the laptop; nil for none
	door door
	end  func()
}

// newTransport is an HTTP client without a past. It keeps as many connections as
// it ever needs: SDKs that keep fewer would only make more work for the tunnels.
func (p *peer) newTransport() *http.Transport {
	return &http.Transport{DialContext: p.dial, TLSClientConfig: p.tls, DisableCompression: true, MaxIdleConnsPerHost: 1000}
}

// onLaptop and onBastion are the processes that serve the peer.
func (p *peer) onLaptop() []int {
	if p.cmd == nil {
		return nil
	}
	return family(p.cmd.Process.Pid)
}

func (p *peer) onBastion() []int {
	if p.door.SSHD == nil {
		return nil
	}
	return inSamePIDNamespace(p.door.pid)
}

// start brings a peer up and sees that it gives the right answer.
func (s *scene) start(ctx context.Context, name string) (*peer, error) {
	p, err := s.bringUp(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := s.oneCall(ctx, p, "Scan", scan); err != nil {
		p.end()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

func (s *scene) bringUp(ctx context.Context, name string) (*peer, error) {
	own := &tls.Config{RootCAs: s.ca.Pool()}
	p := &peer{name: name, url: "https://" + ddbName, tls: own, door: s.doors[name], end: func() {}}
	if name == onBastion {
		p.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return s.Dial(ctx, lab.Bastion, network, lab.VPCEndpoint+":443")
		}
		return p, nil
	}
	ssh := []string{"-F", p.door.ClientConfig}
	switch name {
	case sshL:
		const near = "127.0.0.1:9443"
		p.dial = s.toLaptop(near)
		return p, s.run(ctx, p, near, "/usr/bin/ssh", append(ssh, "-N", "-L", near+":"+ddbName+":443", lab.BastionName)...)
	case sshD:
		const near = "127.0.0.1:1080"
		p.dial = throughProxy(s.Dialer(lab.Laptop), near, socks5)
		return p, s.run(ctx, p, near, "/usr/bin/ssh", append(ssh, "-N", "-D", near, lab.BastionName)...)
	case sshuttle:
		p.dial = s.toLaptop(lab.VPCEndpoint + ":443")
		// Its throttle of 32 KiB a round trip would make large answers slower than they can be.
		return p, s.run(ctx, p, lab.VPCEndpoint+":443", "/usr/bin/sshuttle", "--method", "nft", "--no-latency-control", "--disable-ipv6",
			"-e", "/usr/bin/ssh "+strings.Join(ssh, " "), "-r", lab.BastionName, lab.VPCEndpoint+"/32")
	default:
		return p, s.runDDBProxy(ctx, p)
	}
}

// run starts the program of a peer that does no TLS itself, and waits until a
// connection to near is taken.
func (s *scene) run(ctx context.Context, p *peer, near, program string, args ...string) error {
	p.cmd = s.Command(context.Background(), lab.Laptop, program, args...)
	p.cmd.SysProcAttr.Setsid = true
	var said bytes.Buffer
	p.cmd.Stderr = &said
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = p.cmd.Wait()
		close(ended)
	}()
	p.end = func() { stop(p.cmd, ended) }
	deadline := time.After(30 * time.Second)
	for {
		c, err := s.Dial(ctx, lab.Laptop, "tcp", near)
		if err == nil {
			c.Close()
			// A near end that listens may not have a far end yet.
			if err = s.oneCall(ctx, p, "GetItem", getItem); err == nil {
				return nil
			}
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended: %s", program, &said)
		case <-deadline:
			p.end()
			return fmt.Errorf("no answer within 30 s: %w: %s", err, &said)
		case <-ctx.Done():
			p.end()
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// toLaptop dials an address on the laptop, whatever it is asked for.
func (s *scene) toLaptop(near string) dialFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return s.Dial(ctx, lab.Laptop, network, near)
	}
}

// oneCall makes a call over a connection of its own.
func (s *scene) oneCall(ctx context.Context, p *peer, op string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	t := p.newTransport()
	defer t.CloseIdleConnections()
	c, err := s.call(p, op, body)
	if err != nil {
		return err
	}
	return c.check(ctx, t, s.answers[op].plain.body)
}
