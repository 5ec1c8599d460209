package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// sessionStatus is what a running session tells of itself. Its JSON form is
// what scripts read: fields may come, and stay as they are.
type sessionStatus struct {
	URL      string          `json:"url"`
	Region   string          `json:"region"`
	Endpoint string          `json:"endpoint"` // DynamoDB's name there
	Starting bool            `json:"starting"` // it has its port, and answers nothing yet
	Up       bool            `json:"up"`       // at least one bastion is
	Profiles []string        `json:"profiles"` // that sign; "" is the default one
	Bastions []bastionStatus `json:"bastions"`
	// Compressing tells that AWS is asked for compressed answers now.
	Compressing bool `json:"compressing"`
	// Denied tells of the calls that AWS denied; nil: none.
	Denied *deniedStatus `json:"denied,omitempty"`
}

type bastionStatus struct {
	Destination string    `json:"destination"`
	Server      string    `json:"server,omitempty"`
	Up          bool      `json:"up"`
	InUse       bool      `json:"in_use"`
	Since       time.Time `json:"since,omitzero"`
	Carrier     string    `json:"carrier,omitempty"`
	Relay       string    `json:"relay_version,omitempty"`
	RTT         float64   `json:"rtt_ms,omitempty"`
	Reason      string    `json:"carrier_reason,omitempty"` // of auto
	Error       string    `json:"error,omitempty"`
	// Action tells that it will not mend by itself.
	Action bool `json:"action_needed"`
}

// status is how the session is now.
func (s *session) status() sessionStatus {
	st := sessionStatus{URL: s.url, Region: s.proxy.Regions[0], Endpoint: s.endpoint, Starting: !s.options.up.Load(), Compressing: s.proxy.Compressing()}
	for _, who := range s.proxy.Identities {
		st.Profiles = append(st.Profiles, who.Profile)
	}
	for _, b := range s.tunnel.Status() {
		one := bastionStatus{
			Destination: b.Destination, Server: b.Server, Up: b.Up, InUse: b.InUse, Since: b.Since.Round(time.Second),
			Carrier: string(b.Carrier), Relay: b.Relay, Reason: b.Reason, RTT: float64(b.RTT.Round(100*time.Microsecond)) / float64(time.Millisecond),
		}
		if b.Err != nil {
			one.Error = b.Err.Error()
			var e *tunnel.Error
			one.Action = errors.As(b.Err, &e) && e.Permanent()
		}
		st.Up = st.Up || b.Up
		st.Bastions = append(st.Bastions, one)
	}
	if d := s.proxy.Denials(); d.Count > 0 {
		st.Denied = newDeniedStatus(d)
	}
	return st
}

func newStatus() *cobra.Command {
	var port string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the running sessions and their bastions",
		Long: `Shows each session of this user: its local endpoint, its bastions, which of
them is used, how far away it is, and while one is down why. If AWS denied
calls, it says how many, when the last was, and what AWS's words mean: that a
policy of the VPC endpoint, of the caller, of its organization or of the table
is in the way, or perhaps the path, which ddbproxy doctor looks at. Calls in
proxy mode are encrypted and not counted.

The exit code is 0 when every session has a bastion, 3 when one has none at the
moment or is starting, and 1 when no session is running or one does not answer.`,
		Example: `  ddbproxy status
  ddbproxy status --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPort(port); err != nil {
				return err
			}
			found, silent, err := sessions[sessionStatus](cmd.Context(), "/status")
			if err != nil {
				return err
			}
			if port != "" {
				silent = slices.DeleteFunc(silent, func(name string) bool { return !strings.HasSuffix(name, "-"+port+".sock") })
				found = slices.DeleteFunc(found, func(s sessionStatus) bool { return !strings.HasSuffix(s.URL, ":"+port) })
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(append([]sessionStatus{}, found...)); err != nil {
					return err
				}
			}
			if len(found)+len(silent) == 0 {
				return noSession(port)
			}
			down := 0
			for _, s := range found {
				if !asJSON {
					s.print(cmd.OutOrStdout(), time.Now())
				}
				if !s.Up || s.Starting {
					down++
				}
			}
			switch {
			case len(silent) > 0:
				return noAnswer(silent)
			case down > 0:
				return &exitError{exitUnreachable, fmt.Errorf("%d of %d sessions has no bastion at the moment, or is starting", down, len(found)), ""}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&port, "local-port", "", "only the session on this local `port`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// print shows s for a person.
func (s sessionStatus) print(w io.Writer, now time.Time) {
	safe := func(text string) string { return relay.Printable(text, 1000) }
	fmt.Fprintf(w, "%s  %s", safe(s.URL), safe(s.Region))
	if standard, _ := endpoint.Host(endpoint.DynamoDB, s.Region, false, false); s.Endpoint != standard && s.Endpoint != "" {
		fmt.Fprintf(w, "  %s", safe(s.Endpoint))
	}
	if names := strings.Join(s.Profiles, ", "); names != "" {
		fmt.Fprintf(w, ", profile %s", safe(names))
	}
	if s.Starting {
		fmt.Fprint(w, ", starting")
	}
	if s.Compressing {
		fmt.Fprint(w, ", answers compressed")
	}
	fmt.Fprintln(w)
	for _, b := range s.Bastions {
		name := b.Server
		if name == "" {
			name = b.Destination
		}
		var facts []string
		switch {
		case b.Up:
			facts = append(facts, "up "+age(now.Sub(b.Since)), b.carrier())
			if b.RTT > 0 {
				facts = append(facts, fmt.Sprintf("%.3g ms away", b.RTT))
			}
			if b.InUse {
				facts = append(facts, "in use")
			}
		case b.Since.IsZero():
			facts = append(facts, "connecting")
		case b.Action:
			facts = append(facts, "down "+age(now.Sub(b.Since)), "needs you")
		default:
			facts = append(facts, "down "+age(now.Sub(b.Since)), "reconnecting")
		}
		fmt.Fprintf(w, "  %s  %s\n", safe(name), safe(strings.Join(facts, ", ")))
		if b.Up && b.Carrier == string(tunnel.CarrierForward) && b.Reason != "" {
			fmt.Fprintf(w, "    no relay could run there: %s\n", safe(b.Reason))
		}
		if b.Error != "" {
			fmt.Fprintf(w, "    %s\n", safe(b.Error))
		}
	}
	if s.Denied != nil {
		s.Denied.print(w, now)
	}
}

// carrier is how connections travel, and why where that is short to say.
func (b bastionStatus) carrier() string {
	switch {
	case b.Reason == "":
		return b.Carrier
	case b.Carrier == string(tunnel.CarrierForward):
		return b.Carrier + " (auto)"
	}
	return b.Carrier + " (auto: " + b.Reason + ")"
}

// age is a duration as a person wants it, in its two largest units.
func age(d time.Duration) string {
	d = max(d, 0)
	switch day := 24 * time.Hour; {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	}
}

// ownPort tells where the port that is in use is that of a session of this user,
// which may do as well as another.
func ownPort(ctx context.Context, err error) error {
	if bastion := ownSession(ctx, err); bastion != "" {
		return &exitError{exitPort, err, fmt.Sprintf("it is your session by %s: go on with it (ddbproxy status), or take another port: --listen 8001", bastion)}
	}
	return err
}

// ownSession is the bastion of the session of this user that has the port which
// err finds in use, "" where it is not one's own.
func ownSession(ctx context.Context, err error) (bastion string) {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return ""
	}
	found, _, _ := sessions[sessionStatus](ctx, "/status") // none is no error here
	for _, s := range found {
		port := s.URL[strings.LastIndex(s.URL, ":"):]
		if strings.Contains(err.Error(), port+" is in use") && len(s.Bastions) > 0 {
			return s.Bastions[0].Destination
		}
	}
	return ""
}

// noSession is the error where there is none, on that port if one was named.
func noSession(port string) error {
	if port != "" {
		return &exitError{exitFailed, fmt.Errorf("no session of yours is on port %s", port), "start one: ddbproxy connect dev@bastion --listen " + port}
	}
	return &exitError{exitFailed, errors.New("no session of yours is running"), "start one in another shell: ddbproxy connect dev@bastion"}
}
