//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
	relay     = "relay"   // ddbproxy --carrier relay
	forward   = "forward" // ddbproxy --carrier forward
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
	return &http.Transport{DialContext: p.dial, TLSClientConfig: p.tls, DisableCompression: true, MaxIdleConnsPerHost: 1000, ForceAttemptHTTP2: false}
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

// start brings a peer up.
func (s *scene) start(ctx context.Context, name string) (p *peer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("start %s: %w", name, err)
		}
	}()
	own := &tls.Config{RootCAs: s.ca.Pool()}
	p = &peer{name: name, url: "https://" + ddbName, tls: own, end: func() {}}
	if name == onBastion {
		p.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return s.Dial(ctx, lab.Bastion, network, lab.VPCEndpoint+":443")
		}
		return p, nil
	}
	if p.door, err = s.door(name); err != nil {
		return nil, err
	}
	ssh := []string{"-F", p.door.ClientConfig}
	switch name {
	case sshL:
		const near = "127.0.0.1:9443"
		p.dial = s.toLaptop(near)
		return p, s.run(ctx, p, near, "/usr/bin/ssh", append(ssh, "-N", "-L", near+":"+ddbName+":443", lab.BastionName)...)
	case sshD:
		const near = "127.0.0.1:1080"
		p.dial = socks5(s.Dialer(lab.Laptop), near)
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
			// sshuttle's near end can be a refusing far end: wait for an answer of AWS.
			if err = s.oneCall(ctx, p); err == nil {
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

// oneCall makes one call over a connection of its own.
func (s *scene) oneCall(ctx context.Context, p *peer) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t := p.newTransport()
	defer t.CloseIdleConnections()
	c, err := s.call(p, "GetItem", getItem)
	if err != nil {
		return err
	}
	return c.do(ctx, t, nil)
}

// ports of ddbproxy on the laptop, by peer.
func port(name string) string {
	at := 8001
	if strings.HasPrefix(name, forward) {
		at = 8101
	}
	return fmt.Sprint(at + binaryOf(name))
}

// binaryOf is which of several ddbproxy programs a peer is, from 0.
func binaryOf(name string) int {
	n := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz")
	if n == "" {
		return 0
	}
	return int(n[0]-'0') - 1
}

func isDDBProxy(name string) bool {
	return strings.HasPrefix(name, relay) || strings.HasPrefix(name, forward)
}

// runDDBProxy starts `ddbproxy connect` and waits for its URL.
func (s *scene) runDDBProxy(ctx context.Context, p *peer) error {
	at := port(p.name)
	c, err := s.connect(ctx, p.name, p.door, at)
	if err != nil {
		return err
	}
	p.cmd, p.end, p.tls = c.cmd, c.stop, nil
	p.url = "http://localhost:" + at
	p.dial = s.toLaptop("127.0.0.1:" + at)
	return nil
}

// session is a running `ddbproxy connect`.
type session struct {
	cmd  *exec.Cmd
	stop func()
}

// connect returns when ddbproxy has printed its URL.
func (s *scene) connect(ctx context.Context, name string, d door, at string) (*session, error) {
	// A directory of its own keeps one session from finding another.
	runtime := filepath.Join(s.Dir, "runtime-"+name+"-"+at)
	if err := os.MkdirAll(runtime, 0o700); err != nil {
		return nil, err
	}
	carrier := strings.TrimRight(name, "0123456789")
	cmd := s.Command(context.Background(), lab.Laptop, s.options.binaries[binaryOf(name)], "connect", "-F", d.ClientConfig,
		"--listen", at, "--carrier", carrier, lab.BastionName)
	cmd.Env = append(cmd.Env, "AWS_CA_BUNDLE="+s.caFile, "XDG_RUNTIME_DIR="+runtime)
	cmd.SysProcAttr.Setsid = true
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	first := make(chan string, 1)
	go func() {
		defer close(ended)
		line := make([]byte, 200)
		n, _ := out.Read(line)
		first <- string(line[:n])
		_ = cmd.Wait() // it says no more
	}()
	c := &session{cmd: cmd, stop: func() { stop(cmd, ended) }}
	select {
	case line := <-first:
		if want := "http://localhost:" + at + "\n"; line != want {
			c.stop()
			return nil, fmt.Errorf("it printed %q, want %q: %s", line, want, &said)
		}
		return c, nil
	case <-time.After(60 * time.Second):
		c.stop()
		return nil, errors.New("no URL within 60 s: " + said.String())
	case <-ctx.Done():
		c.stop()
		return nil, ctx.Err()
	}
}
