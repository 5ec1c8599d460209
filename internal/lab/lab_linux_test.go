package lab

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every connection to addr on a machine with what it sends, until
// the test ends.
func echo(t testing.TB, l *Lab, ns NS, addr string) {
	t.Helper()
	ln, err := l.Listen(ns, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := []io.Closer{ln}
	t.Cleanup(func() {
		mu.Lock()
		// The lab goes before a FIN gets through, so each side closes its own.
		for _, c := range open {
			c.Close()
		}
		open = nil
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if open == nil {
				c.Close()
			}
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() {
				io.Copy(c, c)
				c.Close()
			})
		}
	})
}

// ask sends one byte and waits for it to come back.
func ask(c net.Conn) error {
	if _, err := c.Write([]byte{'x'}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func dial(t testing.TB, l *Lab, ns NS, addr string) net.Conn {
	t.Helper()
	c, err := l.Dial(t.Context(), ns, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestNamesResolveToTheMachinesOwnAddress(t *testing.T) {
	t.Parallel()
	l := New(t, Config{Names: []string{"sts.eu-west-1.amazonaws.com"}})
	if err := l.AddHost(Laptop, "127.0.0.1", "late.example"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ns         NS
		name, want string
	}{
		{Laptop, "dynamodb.eu-west-1.amazonaws.com", PublicAddr},
		{Bastion, "dynamodb.eu-west-1.amazonaws.com", VPCEndpoint},
		{AWS, "dynamodb.eu-west-1.amazonaws.com", VPCEndpoint},
		{Laptop, "123456789012.ddb.eu-west-1.amazonaws.com", PublicAddr},
		{Bastion, "sts.eu-west-1.amazonaws.com", VPCEndpoint},
		{Laptop, "bastion", BastionAddr},
		{Laptop, "late.example", "127.0.0.1"},
	} {
		out, err := l.Command(t.Context(), tt.ns, "getent", "ahostsv4", tt.name).CombinedOutput()
		if got, _, _ := strings.Cut(string(out), " "); got != tt.want || err != nil {
			t.Errorf("%s: getent %s = %q, %v, want %s", tt.ns, tt.name, out, err, tt.want)
		}
		if got, err := l.Lookup(tt.ns, tt.name); got != tt.want || err != nil {
			t.Errorf("Lookup(%s, %s) = %s, %v, want %s", tt.ns, tt.name, got, err, tt.want)
		}
	}
	var missing *net.DNSError
	if _, err := l.Lookup(Bastion, "late.example"); !errors.As(err, &missing) || !missing.IsNotFound {
		t.Errorf("Lookup of an unknown name: %v, want a DNSError, not found", err)
	}
}

func TestOnlyTheBastionReachesTheVPCEndpoint(t *testing.T) {
	t.Parallel()
	l := New(t, Config{})
	const name = "dynamodb.eu-west-1.amazonaws.com"
	echo(t, l, AWS, VPCEndpoint+":443")
	for _, tt := range []struct {
		ns   NS
		addr string
		want bool
	}{
		{Bastion, name + ":443", true},
		{Bastion, PublicAddr + ":443", false},
		{Laptop, name + ":443", false}, // its public address, where nobody listens
		{Laptop, VPCEndpoint + ":443", false},
	} {
		c, err := l.Dial(t.Context(), tt.ns, "tcp", tt.addr)
		if got := err == nil; got != tt.want {
			t.Errorf("%s to %s: %v, want connected: %t", tt.ns, tt.addr, err, tt.want)
		}
		if err == nil {
			c.Close()
		}
	}
	echo(t, l, AWS, PublicAddr+":443")
	if err := ask(dial(t, l, Laptop, name+":443")); err != nil {
		t.Errorf("laptop to the public address: %v", err)
	}
}

func TestLabsDoNotMeet(t *testing.T) {
	t.Parallel()
	a, b := New(t, Config{}), New(t, Config{})
	echo(t, a, Bastion, ":2200")
	if err := ask(dial(t, a, Laptop, "bastion:2200")); err != nil {
		t.Error(err)
	}
	if c, err := b.Dial(t.Context(), Laptop, "tcp", "bastion:2200"); err == nil {
		c.Close()
		t.Error("one lab's laptop reached another's bastion")
	}
}

func TestCommandSeesOnlyTheMachine(t *testing.T) {
	t.Setenv("AWS_PROFILE", "developer")
	l := New(t, Config{})
	for _, tt := range []struct{ name, script, want string }{
		{"environment", "echo $AWS_PROFILE", ""},
		{"home", "echo ~root", l.Home},
		{"interfaces", "ip -o link | cut -d: -f2 | tr -d '\n'", " lo uplink internet"},
	} {
		out, err := l.Command(t.Context(), Laptop, "sh", "-c", tt.script).CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); got != tt.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}
