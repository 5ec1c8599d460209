package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/survey"
	"github.com/ddbproxy/ddbproxy/tunnel"
)

// Way is the way by one bastion, made by the code of connect.
type Way struct {
	// Client is not started yet. Checks start it; Close ends it.
	Client *tunnel.Client
	// Roots are the authorities for AWS; nil is the system's.
	Roots *x509.CertPool
	// Version is this program's.
	Version string
	// Profile is whose credentials sign, for advice; "" for none that was named.
	Profile string
	// NeedsAWS tells that AWS leads to the bastion: without AWS's settings there is
	// no Client to start.
	NeedsAWS bool
	// Now is the clock; nil is the machine's.
	Now func() time.Time

	mu     sync.Mutex
	traces []tunnel.Trace
	err    error // of the start
	dialed time.Duration

	forbidden bool // ssh does not forward to DynamoDB; valid after forwarding

	surveyed *survey.Survey
	blind    *Finding     // why it is not
	http     *http.Client // through the tunnel
}

// Close ends what the checks have begun.
func (w *Way) Close() error {
	if w.http != nil {
		w.http.CloseIdleConnections()
	}
	return w.Client.Close()
}

// NoBastion stands for all that is to be said of one, where none was named.
func NoBastion(configured bool) Check {
	return Check{ID: "ssh", Section: SSH, Title: "bastion", Run: func(context.Context, *Facts) Finding {
		if !configured {
			return Skip("it is not known which")
		}
		return Skip("none was named, and no session runs: ddbproxy doctor dev@bastion")
	}}
}

func (w *Way) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

// The IDs of checks that others need.
const (
	idLogin   = "ssh.login"
	idCarrier = "relay.start"
	idReach   = "relay.reach"
	idTLS     = "relay.tls"
	idPlace   = "bastion.place"
	idDNS     = "bastion.dns"
)

// loginTimeout leaves a person time for passphrases and codes at several hosts.
const loginTimeout = 5 * time.Minute

// Checks are those of ssh, the relay, and what can be seen from the bastion. What
// is about DynamoDB needs AWS's settings, for its name.
func (w *Way) Checks() []Check {
	needs := []string{idConfiguration}
	if w.NeedsAWS {
		needs = append(needs, idSettings)
	}
	// The first makes the whole way: the others tell what it has come to.
	checks := []Check{{ID: "ssh.configuration", Section: SSH, Title: "configuration", Needs: needs, Timeout: loginTimeout,
		Run: func(ctx context.Context, f *Facts) Finding {
			w.start(ctx)
			return w.step(tunnel.StepConfig)
		}}}
	for _, step := range order[1:5] {
		s := steps[step]
		checks = append(checks, Check{ID: s.id, Section: SSH, Title: s.title, Needs: needs,
			Run: func(context.Context, *Facts) Finding { return w.step(step) }})
	}
	return append(checks,
		Check{ID: "ssh.forwarding", Section: SSH, Title: "forwarding", Needs: []string{idConfiguration, idSettings}, Run: w.forwarding},
		Check{ID: "ssh.sessions", Section: SSH, Title: "sessions", Needs: needs, Run: w.sessions},
		Check{ID: idCarrier, Section: Relay, Title: "version", Needs: needs, Run: w.carrier},
		Check{ID: idReach, Section: Relay, Title: "reaches DynamoDB", Needs: []string{idSettings, idCarrier}, Run: w.reach},
		Check{ID: idTLS, Section: Relay, Title: "certificate", Needs: []string{idReach}, Run: w.tls},
		Check{ID: idPlace, Section: Bastion, Title: "region and VPC", Needs: []string{idCarrier}, Run: w.place},
		Check{ID: idDNS, Section: Bastion, Title: "DNS of DynamoDB", Needs: []string{idSettings, idCarrier}, Run: w.dns},
	)
}

// start connects once.
func (w *Way) start(ctx context.Context) {
	w.Client.LookOnly = true
	w.Client.Tracer = func(t tunnel.Trace) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.traces = append(w.traces, t)
	}
	w.err = w.Client.Start(ctx)
}

// order is that of the steps, without the upload, which need not be.
var order = []tunnel.Step{tunnel.StepConfig, tunnel.StepName, tunnel.StepReached, tunnel.StepHostKey, tunnel.StepLogin, tunnel.StepCarrier}

// steps are the checks of the steps, and what it leads to when one cannot be made.
var steps = map[tunnel.Step]struct{ id, section, title, meaning string }{
	tunnel.StepConfig:  {"ssh.configuration", "SSH", "configuration", "ssh's settings for this bastion cannot be used."},
	tunnel.StepName:    {"ssh.name", "SSH", "DNS", "It is not known where the bastion is."},
	tunnel.StepReached: {"ssh.reach", "SSH", "TCP", "No connection to the bastion's ssh server comes about."},
	tunnel.StepHostKey: {"ssh.hostkey", "SSH", "host key", "It is not certain that this is your bastion, so nothing was sent to it."},
	tunnel.StepLogin:   {idLogin, "SSH", "login", "The bastion does not let this user in."},
	tunnel.StepCarrier: {idCarrier, "Relay", "version", "ssh is well, but nothing there carries connections to DynamoDB."},
}

// fault is the step that failed, "" where none did: the first that the server
// named by the error has not come to.
func (w *Way) fault() tunnel.Step {
	var e *tunnel.Error
	if w.err == nil {
		return ""
	}
	if !errors.As(w.err, &e) {
		return tunnel.StepConfig
	}
	if w.Client.SSHCommand != "" {
		return map[tunnel.Kind]tunnel.Step{tunnel.KindConfig: tunnel.StepConfig, tunnel.KindUnreachable: tunnel.StepReached,
			tunnel.KindHostKey: tunnel.StepHostKey, tunnel.KindAuth: tunnel.StepLogin, tunnel.KindRelay: tunnel.StepCarrier}[e.Kind]
	}
	if e.Kind == tunnel.KindRelay {
		return tunnel.StepCarrier
	}
	for _, step := range order {
		made := func(t tunnel.Trace) bool {
			// That a jump host was found in the configuration shows by what it came to.
			return t.Server == e.Host && (t.Step == step || step == tunnel.StepConfig)
		}
		if e.Kind != tunnel.KindConfig && step == tunnel.StepConfig {
			continue
		}
		if !slices.ContainsFunc(w.traces, made) {
			return step
		}
	}
	return tunnel.StepCarrier
}

// step is the finding about a step, once start is over.
func (w *Way) step(step tunnel.Step) Finding {
	fault := w.fault()
	i := slices.IndexFunc(w.traces, func(t tunnel.Trace) bool { return t.Step == step && !t.Jump })
	at, broken := slices.Index(order, step), slices.Index(order, fault)
	switch {
	case step == fault:
		return w.failed(step)
	case fault != "" && at > broken:
		return w.ended()
	case i >= 0:
		finding := Well("%s", w.traces[i].Detail)
		finding.took = w.traces[i].Took
		return finding
	case w.Client.SSHCommand != "":
		return Skip("--ssh-command does it")
	}
	return Skip("the jump host comes first")
}

// ended is the finding about what comes behind the fault.
func (w *Way) ended() Finding {
	s := steps[w.fault()]
	return blocked(fmt.Sprintf("%s: %s, which failed", s.section, s.title))
}

func (w *Way) failed(step tunnel.Step) Finding {
	var e *tunnel.Error
	if !errors.As(w.err, &e) {
		return Bad(w.err.Error(), steps[step].meaning, "ddbproxy connect "+w.Client.Destination+" -v")
	}
	remedy := e.Hint
	if remedy == "" {
		remedy = "ssh -v " + w.Client.Destination
	}
	meaning := steps[step].meaning
	if step == tunnel.StepHostKey && e.Kind == tunnel.KindUnreachable {
		meaning = "What is there has shown no host key: it is no ssh server, or one that lets nobody begin now."
	}
	return Bad(fmt.Sprintf("%s: %v", e.Host, e.Err), meaning, remedy)
}
