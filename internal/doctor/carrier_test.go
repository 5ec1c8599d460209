package doctor

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/tunnel"
)

// by finds the result of a check.
func by(t *testing.T, results []Result, id string) Result {
	t.Helper()
	for _, r := range results {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("no result %s", id)
	return Result{}
}

// prints is a bastion that answers every command with a text.
func prints(text string) func(string, ssh.Channel) int {
	return func(_ string, ch ssh.Channel) int {
		_, _ = io.WriteString(ch, text)
		return 1
	}
}

// Where neither a relay nor ssh carries, no line says that ssh does, and the
// remedy is one that helps this account.
func TestNothingCarries(t *testing.T) {
	for _, tc := range []struct {
		name     string
		set      func(s *stage)
		sessions string // the outcome, and how the detail begins
		carrier  string
		remedy   string // by which a relay could carry
	}{
		{"no session", func(s *stage) { s.bastion.NoSessions = true },
			"failed none", "skipped it needs SSH: sessions, which failed", "set MaxSessions to 1 or more for this account"},
		{"no session, and forwarding that was asked for", func(s *stage) { s.bastion.NoSessions, s.way.Client.Carrier = true, tunnel.CarrierForward },
			"failed none", "skipped it needs SSH: sessions, which failed", "set MaxSessions to 1 or more for this account in the bastion's sshd_config, and leave --carrier forward out"},
		{"no program", func(s *stage) { s.bastion.NoExec = true },
			"ok allowed", "failed none: ", "let this account run ddbproxy-relay"},
		{"another program by force", func(s *stage) { s.bastion.Exec = prints("This service allows sftp connections only.\n") },
			"ok allowed", "failed none: ", "let this account run ddbproxy-relay"},
		{"no relay", func(s *stage) { s.bastion.Exec = prints("ddbproxy-relay missing Linux riscv64\n") },
			"ok allowed", "failed none: ", "install ddbproxy-relay on the bastion"},
		{"forwarding that was asked for", func(s *stage) { s.way.Client.Carrier = tunnel.CarrierForward },
			"ok allowed", "failed none: --carrier forward", "leave --carrier forward out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, tc.set)
			results, text := s.examine()
			for id, want := range map[string]string{"ssh.forwarding": "failed the bastion forbids forwarding", "ssh.sessions": tc.sessions, idCarrier: tc.carrier, idReach: "skipped it needs "} {
				r := by(t, results, id)
				if got := string(r.Outcome) + " " + r.Detail; !strings.HasPrefix(got, want) {
					t.Errorf("%s is %q, want %q\n%s", id, got, want, text)
				}
				if strings.Contains(r.Detail, "use --carrier forward") {
					t.Errorf("%s advises what is forbidden: %q", id, r.Detail)
				}
				if r.Outcome == Failed && !strings.Contains(r.Remedy, tc.remedy) {
					t.Errorf("the remedy of %s is %q, want %q", id, r.Remedy, tc.remedy)
				}
			}
			// sshd says the same of all its settings: each is named, and how to mend it.
			forwarding := by(t, results, "ssh.forwarding")
			for _, setting := range []string{"AllowTcpForwarding", "PermitOpen", "restrict"} {
				if !strings.Contains(forwarding.Detail, setting) || !strings.Contains(forwarding.Remedy, setting) {
					t.Errorf("%s is not in both %q and %q", setting, forwarding.Detail, forwarding.Remedy)
				}
			}
			complete(t, results)
		})
	}
}

// A bastion that is still connecting does not forbid.
func TestForwardingWithoutAnAnswerIsNotForbidden(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newStage(t, func(s *stage) {
		s.bastion.Forward, s.way.Client.Carrier = true, tunnel.CarrierForward
		s.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			cancel()
			<-ctx.Done() // the bastion's: its connection ends
			return nil, ctx.Err()
		}
	})
	s.way.start(t.Context())
	if f := s.way.forwarding(ctx, s.facts); f.Outcome != Skipped {
		t.Errorf("forwarding is %+v, want skipped", f)
	}
}

// Forwarding that is forbidden is no connection that was lost.
func TestUnreachedKnowsForbiddenForwarding(t *testing.T) {
	s := newStage(t, func(s *stage) { s.way.Client.Carrier = tunnel.CarrierForward })
	s.way.start(t.Context())
	for _, run := range []func(context.Context, *Facts) Finding{s.way.reach, s.way.through} {
		f := run(t.Context(), s.facts)
		if !strings.Contains(f.Detail, "forbids forwarding") || strings.Contains(f.Meaning, "did not last") || !strings.Contains(f.Remedy, "AllowTcpForwarding yes") {
			t.Errorf("found %+v", f)
		}
	}
}
