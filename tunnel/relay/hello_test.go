package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestClientNamesWhatAnsweredInsteadOfARelay(t *testing.T) {
	for _, tc := range []struct{ name, said, want string }{
		{"shell error", "bash: line 1: ddbproxy-relay: command not found\n", `no relay answered; it printed "bash: line 1: ddbproxy-relay: command not found"`},
		{"terminal escapes", "\x1b[31mgo away\x1b[0m\r\n", `no relay answered; it printed "[31mgo away[0m"`},
		{"other protocol", "ddbproxy-relay 7 v9.0.0\n", "relay v9.0.0 speaks protocol 7, this ddbproxy speaks 1"},
		{"nothing", "", "no relay answered: EOF"},
		{"a flood", strings.Repeat("x", 1<<17), `no relay answered; it printed "` + strings.Repeat("x", 300) + `"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			near, far := duplex(t)
			go func() {
				bufio.NewReader(far).ReadString('\n') // or closing would reset
				io.WriteString(far, tc.said)
				far.Close()
			}()
			_, err := NewClient(t.Context(), near, "test")
			var hello *HelloError
			if !errors.As(err, &hello) || err.Error() != tc.want {
				t.Errorf("error = %v, want %s", err, tc.want)
			}
		})
	}
}

func TestHelloIsFoundBehindANoisyProfile(t *testing.T) {
	near, far := duplex(t)
	s := &Server{Allow: allowAll}
	served := make(chan error, 1)
	go func() {
		io.WriteString(far, "Welcome to bastion\nlast login: never\n")
		served <- s.Serve(context.Background(), far)
	}()
	c, err := NewClient(t.Context(), near, "test")
	if err != nil {
		t.Fatal(err)
	}
	if want := (Hello{serverRole, Protocol, ""}); c.Relay.Role != want.Role {
		t.Errorf("relay = %+v, want %+v", c.Relay, want)
	}
	c.Close()
	<-served
}

func TestSilentRelayEndsWithTheContext(t *testing.T) {
	near, far := duplex(t)
	defer far.Close()
	go io.Copy(io.Discard, far)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("relay took too long"))
	defer cancel()
	if _, err := NewClient(ctx, near, "test"); err == nil || err.Error() != "no relay answered: relay took too long" {
		t.Errorf("error = %v", err)
	}
}

func TestServerRefusesOtherProtocol(t *testing.T) {
	near, far := duplex(t)
	served := make(chan error, 1)
	go func() { served <- (&Server{Version: "v2"}).Serve(context.Background(), far) }()
	go io.Copy(io.Discard, near)
	io.WriteString(near, "ddbproxy 9 v3\n")
	want := "ddbproxy v3 speaks protocol 9, this relay speaks 1: use the same version at both ends"
	if err := <-served; err == nil || err.Error() != want {
		t.Errorf("Serve = %v, want %s", err, want)
	}
}
