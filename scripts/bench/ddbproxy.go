//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// ports of the first ddbproxy on the laptop, by kind of peer.
var ports = map[string]int{relay: 8001, forward: 8101, proxy: 8201}

// port is where a ddbproxy listens.
func port(name string) string { return fmt.Sprint(ports[kindOf(name)] + binaryOf(name)) }

// kindOf is a peer's name without the number of its program.
func kindOf(name string) string { return strings.TrimRight(name, "0123456789") }

// binaryOf is which of several ddbproxy programs a peer is, from 0.
func binaryOf(name string) int {
	n := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz")
	if n == "" {
		return 0
	}
	return int(n[0]-'0') - 1
}

func isDDBProxy(name string) bool {
	return ports[kindOf(name)] != 0
}

// runDDBProxy starts `ddbproxy connect` and waits for its URL.
func (s *scene) runDDBProxy(ctx context.Context, p *peer) error {
	at := port(p.name)
	c, err := s.connect(ctx, p.name, p.door, at)
	if err != nil {
		return err
	}
	p.cmd, p.end = c.cmd, c.stop
	near := "127.0.0.1:" + at
	if kindOf(p.name) == proxy {
		p.dial = throughProxy(s.Dialer(lab.Laptop), near, httpConnect)
		return nil
	}
	p.tls, p.url, p.dial = nil, "http://localhost:"+at, s.toLaptop(near)
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
	carrier := kindOf(name)
	if carrier == proxy {
		carrier = relay
	}
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
