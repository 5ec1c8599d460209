package tunnel

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/bastion"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
	"golang.org/x/crypto/ssh"
)

func TestTunnelCarriesThroughTheRelay(t *testing.T) {
	c := newScene(t).client(t)
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if st := c.Status(); !st.Up || st.Carrier != CarrierRelay || st.Reason != "it runs there" {
		t.Errorf("status = %+v, want up by the relay, because it runs there", st)
	}
}

func TestTunnelFallsBackToForwardingWhereNoRelayIs(t *testing.T) {
	sc := newScene(t)
	sc.bastion.Forward = true
	sc.bastion.Exec = func(_ string, ch ssh.Channel) int {
		io.WriteString(ch.Stderr(), "This service allows sftp connections only.\n")
		return 1
	}
	c := sc.client(t)
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	st := c.Status()
	if st.Carrier != CarrierForward || !strings.Contains(st.Reason, "This service allows sftp connections only.") {
		t.Errorf("status = %+v, want forward because of what the bastion said", st)
	}
}

func TestNoRelayAndNoForwardingIsOnePermanentError(t *testing.T) {
	sc := newScene(t)
	sc.bastion.Exec = func(_ string, ch ssh.Channel) int {
		io.WriteString(ch, "ddbproxy-relay missing Linux riscv64\n")
		return 127
	}
	c := sc.client(t)
	start(t, c)
	err := ping(t.Context(), c)
	var e *Error
	if !errors.As(err, &e) || !e.Permanent() || e.Hop() != "relay" {
		t.Fatalf("error = %v, want a permanent one at the relay", err)
	}
	for _, part := range []string{"AllowTcpForwarding no", "carries none for linux/riscv64"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestRelayRefusesNamesThatAreNotDynamoDB(t *testing.T) {
	c := newScene(t).client(t)
	start(t, c)
	for _, name := range []string{"example.com:443", "169.254.169.254:80", "dynamodb.us-east-1.amazonaws.com:443", "localhost:22"} {
		_, err := c.DialContext(t.Context(), "tcp", name)
		var refused *relay.Error
		if !errors.As(err, &refused) || refused.Kind != relay.KindDenied {
			t.Errorf("dial %s: %v, want it denied", name, err)
		}
	}
}

func TestTunnelComesBackWhileARequestWaits(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	addr := sc.addr
	sc.bastion.Disconnect()
	waiting := make(chan error, 1)
	go func() { waiting <- ping(t.Context(), c) }()
	sc.serve(t, addr)
	if err := <-waiting; err != nil {
		t.Fatalf("the request that waited: %v", err)
	}
}

func TestWaitForTheTunnelEndsWithTheRequest(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	sc.bastion.Disconnect()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := ping(ctx, c)
	var e *Error
	if !errors.As(err, &e) || e.Permanent() || e.Hop() != "ssh" {
		t.Fatalf("error = %v, want a passing one at ssh", err)
	}
}

func TestHostKeyThatChangesWhileAwayIsAPermanentError(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	addr := sc.addr
	sc.bastion.Close()
	impostor := &bastion.Server{HostKey: newKey(t), Authorized: sc.bastion.Authorized}
	t.Cleanup(func() { impostor.Close() })
	sc.bastion = impostor
	sc.serve(t, addr)
	err := ping(t.Context(), c)
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindHostKey || !e.Permanent() {
		t.Fatalf("error = %v, want a permanent one about the host key", err)
	}
}
