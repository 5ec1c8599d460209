package tunnel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// traces has c tell its steps.
func traces(c *Client) *[]string {
	var steps []string
	c.Tracer = func(tr Trace) { steps = append(steps, fmt.Sprintf("%s %v", tr.Step, tr.Jump)) }
	return &steps
}

func TestTraceOfAWayThatIsWell(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	var all []Trace
	c.Tracer = func(tr Trace) { all = append(all, tr) }
	start(t, c)
	var steps []Step
	for _, tr := range all {
		steps = append(steps, tr.Step)
		if tr.Server != "dev@"+sc.addr || tr.Jump || tr.Detail == "" {
			t.Errorf("trace %+v", tr)
		}
	}
	if want := []Step{StepConfig, StepName, StepReached, StepHostKey, StepLogin, StepCarrier}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	if got, want := all[3].Detail, describe(sc.bastion.HostKey.PublicKey()); got != want {
		t.Errorf("host key %q, want %q", got, want)
	}
}

// The step that is missing is the one that failed.
func TestTraceEndsAtTheFault(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault func(t *testing.T, sc *scene, c *Client)
		last  Step
		kind  Kind
	}{
		{"configuration", func(t *testing.T, sc *scene, c *Client) { c.Destination = "-oX" }, "", KindConfig},
		{"no such name", func(t *testing.T, sc *scene, c *Client) { c.Destination = "dev@nowhere.invalid" }, StepConfig, KindUnreachable},
		{"nobody listens", func(t *testing.T, sc *scene, c *Client) { c.Destination = "dev@127.0.0.1:1" }, StepName, KindUnreachable},
		{"host key", func(t *testing.T, sc *scene, c *Client) { sc.trust(t, newKey(t).PublicKey()) }, StepReached, KindHostKey},
		{"login", func(t *testing.T, sc *scene, c *Client) { writeKey(t, sc.key, "") }, StepHostKey, KindAuth},
		{"relay", func(t *testing.T, sc *scene, c *Client) {
			c.Carrier = CarrierRelay
			sc.bastion.NoExec = true
		}, StepLogin, KindRelay},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(t)
			c := sc.client(t)
			tc.fault(t, sc, c)
			var last Step
			c.Tracer = func(tr Trace) { last = tr.Step }
			err := c.Start(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Kind != tc.kind || last != tc.last {
				c.Close()
				t.Errorf("last step %q and %v, want %q and kind %d", last, err, tc.last, tc.kind)
			}
		})
	}
}

func TestTraceOfAJumpHost(t *testing.T) {
	sc := newScene(t)
	sc.bastion.Forward = true
	sc.bastion.Dial = nil
	c := sc.client(t)
	write(t, c.ConfigFile, fmt.Sprintf("Host far\n ProxyJump near\nHost *\n HostName 127.0.0.1\n Port %s\n User dev\n IdentityFile %s\n",
		sc.addr[strings.LastIndex(sc.addr, ":")+1:], sc.key))
	c.Destination, c.Carrier = "far", CarrierForward
	steps := traces(c)
	start(t, c)
	want := []string{"config false", "name false", "name true", "reached true", "hostkey true", "login true", "reached false", "hostkey false", "login false", "carrier false"}
	if !slices.Equal(*steps, want) {
		t.Errorf("steps %q, want %q", *steps, want)
	}
}

func TestLookOnlyLeavesKnownHostsAlone(t *testing.T) {
	for _, tc := range []struct {
		strict string
		kind   Kind // 0: it is let through
	}{{"accept-new", 0}, {"no", 0}, {"ask", KindHostKey}, {"yes", KindHostKey}} {
		t.Run(tc.strict, func(t *testing.T) {
			sc := newScene(t)
			c := sc.client(t)
			write(t, c.ConfigFile, "StrictHostKeyChecking "+tc.strict+"\n")
			c.KnownHosts = []string{filepath.Join(sc.dir, "absent")}
			person := new(answers)
			c.LookOnly, c.Prompter = true, person
			err := c.Start(t.Context())
			defer c.Close()
			var e *Error
			if errors.As(err, &e); (tc.kind == 0) != (err == nil) || e != nil && e.Kind != tc.kind {
				t.Errorf("Start = %v, want kind %d", err, tc.kind)
			}
			if len(person.asked) > 0 {
				t.Errorf("asked %q", person.asked)
			}
			if _, err := os.Stat(c.KnownHosts[0]); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("known_hosts was written: %v", err)
			}
		})
	}
}

func TestForwards(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	if err := c.Forwards(t.Context(), target); !errors.Is(err, ErrNoForwarding) {
		t.Errorf("Forwards = %v where it is forbidden", err)
	}
	sc.bastion.Forward = true
	for _, addr := range []string{target, "nowhere.invalid:443"} { // which is no matter of forwarding
		if err := c.Forwards(t.Context(), addr); err != nil {
			t.Errorf("Forwards(%s) = %v where it is allowed", addr, err)
		}
	}
}

func TestOpensSession(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	if err := c.OpensSession(); err != nil {
		t.Errorf("OpensSession = %v", err)
	}
	sc.bastion.NoSessions = true
	if err := c.OpensSession(); !errors.Is(err, ErrNoSession) {
		t.Errorf("OpensSession = %v where none is opened", err)
	}
}

func TestDistance(t *testing.T) {
	sc := newScene(t)
	c := sc.client(t)
	start(t, c)
	if d, err := c.Distance(t.Context()); d <= 0 || err != nil {
		t.Errorf("Distance = %v, %v", d, err)
	}
}

func TestNothingToExamineBehindAnSSHCommand(t *testing.T) {
	c := &Client{}
	c.current = &session{}
	if err := c.Forwards(t.Context(), target); !errors.Is(err, errNoLink) {
		t.Errorf("Forwards = %v", err)
	}
	if _, err := c.Distance(t.Context()); !errors.Is(err, errNoLink) {
		t.Errorf("Distance = %v", err)
	}
	if err := c.OpensSession(); !errors.Is(err, errNoLink) {
		t.Errorf("OpensSession = %v", err)
	}
	if _, err := c.Ask(t.Context(), "/place"); err == nil || !strings.Contains(err.Error(), "no relay to ask") {
		t.Errorf("Ask = %v", err)
	}
	c.current = nil
	if _, err := c.Ask(t.Context(), "/place"); !errors.Is(err, relay.ErrClosed) {
		t.Errorf("Ask = %v while it is down", err)
	}
}

func TestBastionWithoutSessions(t *testing.T) {
	sc := newScene(t)
	sc.bastion.NoSessions = true
	c := sc.client(t)
	c.Carrier = CarrierRelay
	if err := c.Start(t.Context()); !errors.Is(err, ErrNoSession) || !strings.Contains(err.Error(), "MaxSessions") {
		c.Close()
		t.Errorf("Start = %v, want %v", err, ErrNoSession)
	}
	c = sc.client(t)
	if err := c.Start(t.Context()); err != nil {
		t.Fatalf("Start = %v, want ssh's forwarding", err)
	}
	defer c.Close()
	if st := c.Status(); st.Carrier != CarrierForward || !strings.Contains(st.Reason, "MaxSessions") {
		t.Errorf("the carrier is %s, because %q", st.Carrier, st.Reason)
	}
	if err := c.Without(); !errors.Is(err, ErrNoSession) {
		t.Errorf("Without = %v, want %v", err, ErrNoSession)
	}
}
