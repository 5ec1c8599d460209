package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/ddbproxy/ddbproxy/tunnel"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// forwarding is needed where no relay runs.
func (w *Way) forwarding(ctx context.Context, f *Facts) Finding {
	if w.Client.SSHCommand != "" {
		return Skip("--ssh-command carries the relay only")
	}
	if w.err != nil {
		return w.ended()
	}
	err := w.Client.Forwards(ctx, f.Endpoint+":443")
	w.forbidden = errors.Is(err, tunnel.ErrNoForwarding)
	switch {
	case err == nil:
		return Well("allowed")
	case w.Client.Status().Carrier == tunnel.CarrierRelay:
		return Well("not allowed, and not needed: the relay carries")
	case w.forbidden:
		return w.unforwarded(f)
	}
	return Skip("the bastion did not answer whether it forwards: %v", err) // sshd refuses at once
}

// unforwarded is the finding where nothing carries, for ssh does not.
func (w *Way) unforwarded(f *Facts) Finding {
	return Bad(tunnel.ErrNoForwarding.Error(), "No relay carries connections either, so none come to DynamoDB.",
		"for this account, set AllowTcpForwarding yes in the bastion's sshd_config, let PermitOpen there have "+f.Endpoint+":443, and add port-forwarding where its key in authorized_keys has restrict; or "+w.relayRemedy())
}

// relayRemedy is what would let a relay carry where none does.
func (w *Way) relayRemedy() string {
	var other *relay.HelloError
	without := w.Client.Without()
	switch {
	case w.noSessions():
		remedy := sessionsRemedy
		if w.Client.Carrier == tunnel.CarrierForward {
			remedy += ", and leave --carrier forward out"
		}
		return remedy
	case without == nil:
		return "leave --carrier forward out, so that a relay carries"
	case errors.Is(without, tunnel.ErrNoPrograms), errors.As(without, &other) && other.Relay.Protocol == 0:
		return "let this account run ddbproxy-relay: a ForceCommand in the bastion's sshd_config, command= on its key, and its shell have to"
	}
	return "install ddbproxy-relay on the bastion, of version " + w.Version
}

// sessionsRemedy gives the relay its session; an upload has it before.
const sessionsRemedy = "set MaxSessions to 1 or more for this account in the bastion's sshd_config"

// noSessions reports whether the bastion opens none at all.
func (w *Way) noSessions() bool {
	return w.Client.Status().Carrier == tunnel.CarrierForward && errors.Is(w.Client.OpensSession(), tunnel.ErrNoSession)
}

func (w *Way) sessions(context.Context, *Facts) Finding {
	switch {
	case w.Client.SSHCommand != "":
		return Skip("--ssh-command has one")
	case errors.Is(w.err, tunnel.ErrNoSession):
		return Bad("none", "The bastion's sshd opens no session for this account, so no relay can run.", sessionsRemedy+", or say --carrier forward")
	case w.err != nil:
		return w.ended()
	}
	if w.Client.Status().Carrier == tunnel.CarrierRelay {
		return Well("allowed: the relay has one")
	}
	switch err := w.Client.OpensSession(); {
	case err == nil:
		return Well("allowed")
	case !errors.Is(err, tunnel.ErrNoSession):
		return Bad(err.Error(), "The connection to the bastion did not last.", "ddbproxy doctor "+w.Client.Destination)
	case w.forbidden:
		return Bad("none", "The bastion's sshd opens no session for this account, so no relay can run, and it does not forward either.", w.relayRemedy())
	}
	return Well("none: no relay can run, and ssh has to forward (MaxSessions)")
}

// carrier is what connections travel by.
func (w *Way) carrier(context.Context, *Facts) Finding {
	switch {
	case errors.Is(w.err, tunnel.ErrNoSession), w.forbidden && w.noSessions():
		return blocked("SSH: sessions, which failed")
	case w.fault() != "":
		return w.step(tunnel.StepCarrier)
	}
	s := w.Client.Status()
	forward := s.Carrier == tunnel.CarrierForward
	switch {
	case forward && w.forbidden:
		why := "--carrier forward"
		var e *tunnel.Error
		if errors.As(w.Client.Without(), &e) {
			why = e.Err.Error() // its hint is to forward
		}
		return Bad("none: "+why, steps[tunnel.StepCarrier].meaning, w.relayRemedy())
	case forward && s.Reason != "":
		return Well("none: ssh forwards instead, without the relay's allow-list, and slower with many calls at once: %s", s.Reason)
	case forward:
		return Well("none: --carrier forward")
	}
	var more []string
	if s.Relay != w.Version {
		more = append(more, "this is "+w.Version+", of the same protocol")
	}
	if slices.ContainsFunc(w.traces, func(t tunnel.Trace) bool { return t.Step == tunnel.StepUpload }) {
		more = append(more, "uploaded just now, as connect does")
	}
	finding := Well("%s", strings.Join(append([]string{s.Relay}, more...), "; "))
	if i := slices.IndexFunc(w.traces, func(t tunnel.Trace) bool { return t.Step == tunnel.StepCarrier }); i >= 0 {
		finding.took = w.traces[i].Took
	}
	return finding
}
