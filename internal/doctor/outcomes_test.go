package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/tunnel"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// What is not looked at has a reason, and what is meant to be as it is does not
// fail.
func TestOutcomesThatAreNoFailure(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(s *stage)
		want map[string]string // by check: its outcome and a part of its detail
	}{
		{"forwarding that was asked for", func(s *stage) { s.bastion.Forward, s.way.Client.Carrier = true, tunnel.CarrierForward }, map[string]string{
			"ssh.forwarding": "ok allowed", idCarrier: "ok none: --carrier forward", idReach: "ok " + ddbName,
			idPlace: "skipped there is no relay that could tell", idDNS: "skipped there is no relay", idThrough: "ok ListTables is answered"}},
		{"a relay from before questions", func(s *stage) { s.bastion.Exec = s.earlierRelay }, map[string]string{
			idCarrier: "ok v0.1.0; this is devel, of the same protocol", idPlace: "skipped the relay there, v0.1.0, is from before this question", idThrough: "ok "}},
		{"a relay that may not dial it", func(s *stage) { s.way.Client.RelayArgs = []string{"-region", "us-east-1"} }, map[string]string{
			idReach: "failed ", idDNS: "skipped the relay there looks up no name that it may not dial: "}},
		{"a bastion that is no instance", func(s *stage) { s.place.Metadata = "" }, map[string]string{
			idPlace: "skipped not asked for: is it an EC2 instance", idDNS: "ok 52.94.24.5"}},
		{"an interface endpoint's address", func(s *stage) { s.place.Lookup = addresses("10.0.0.53", "10.0.1.53") }, map[string]string{
			idDNS: "ok 10.0.0.53, 10.0.1.53: private, as an interface endpoint's"}},
		{"a laptop that does not reach AWS", func(s *stage) { s.offline = true }, map[string]string{
			"laptop.clock": "skipped " + ddbName + " is not reached from here", "laptop.identity": "skipped STS is not reached from here: ",
			"proof.direct": "skipped " + ddbName + " is not reached without the bastion", idThrough: "ok "}},
		{"a jump host that refuses", func(s *stage) {
			_, private := newKey(s.t)
			s.write("id", string(private))
			s.after = func() {
				s.write("ssh_config", "Host far\n  HostName 127.0.0.2\n  User dev\n  ProxyJump "+s.ssh.String()+"\nHost *\n  User dev\n  IdentityFile "+s.dir+"/id\n")
				s.way.Client.Destination = "far"
			}
		}, map[string]string{
			"ssh.configuration": "ok dev@127.0.0.2:22 through ", "ssh.name": "ok 127.0.0.2 is looked up on the way", "ssh.reach": "skipped the jump host comes first",
			"ssh.hostkey": "skipped the jump host comes first", idLogin: "failed dev@127.0.0.1:", idCarrier: "skipped it needs SSH: login, which failed"}},
		{"an ssh command that fails", func(s *stage) { s.way.Client.SSHCommand = "sh -c 'echo Permission denied >&2; exit 255'" }, map[string]string{
			"ssh.configuration": "skipped --ssh-command does it", "ssh.hostkey": "skipped --ssh-command does it", idLogin: "failed ",
			"ssh.sessions": "skipped --ssh-command has one", idCarrier: "skipped it needs SSH: login, which failed"}},
		{"AWS settings that cannot be read", func(s *stage) { s.unsettle() }, map[string]string{
			"ssh.configuration": "ok dev@", "ssh.name": "ok ", "ssh.reach": "ok ", "ssh.hostkey": "ok ", idLogin: "ok ", "ssh.sessions": "ok ", idCarrier: "ok devel",
			"ssh.forwarding": unsettled, idReach: unsettled, idTLS: unsettled, idPlace: "ok eu-west-1, vpc-0abc", idDNS: unsettled, "proof.direct": unsettled, idThrough: unsettled}},
		{"AWS settings that cannot be read, where AWS leads to the bastion", func(s *stage) {
			s.unsettle()
			s.way.NeedsAWS = true
		}, map[string]string{"ssh.configuration": unsettled, idLogin: unsettled, "ssh.sessions": unsettled, idCarrier: unsettled, idPlace: unsettled}},
		{"a table that was named", func(s *stage) { s.facts.Table = "music" }, map[string]string{
			"proof.direct": "ok denied, as it should be: User: arn:aws:iam::123456789012:user/dev is not authorized to perform: dynamodb:DescribeTable"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, tc.set)
			results, text := s.examine()
			for id, want := range tc.want {
				i := slices.IndexFunc(results, func(r Result) bool { return r.ID == id })
				if got := string(results[i].Outcome) + " " + results[i].Detail; !strings.HasPrefix(got, want) {
					t.Errorf("%s is %q, want %q\n%s", id, got, want, text)
				}
			}
			complete(t, results)
		})
	}
}

const unsettled = "skipped it needs Laptop: AWS settings, which failed"

// unsettle has no AWS settings, and so what is known by them.
func (s *stage) unsettle() {
	s.machine.Settings = func(context.Context, *Facts) Finding { return Bad("no region", "It is not known which.", "give one") }
	s.facts.Region, s.facts.Endpoint, s.way.Client.RelayArgs = "", "", nil
}

// earlierRelay is a relay that knows connections only.
func (s *stage) earlierRelay(_ string, ch ssh.Channel) int {
	server := &relay.Server{Version: "v0.1.0", Allow: func(string) error { return nil }, Dial: s.dialInside}
	if err := server.Serve(context.Background(), ch); err != nil && !errors.Is(err, net.ErrClosed) {
		return 1
	}
	return 0
}

func TestInterruptedDoctorEnds(t *testing.T) {
	s := newStage(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var l Checklist
	l.Each = func(r Result) {
		if r.ID == "ssh.configuration" {
			cancel()
		}
	}
	l.Run(ctx, slices.Concat(s.way.Checks(), s.way.Proof()), s.facts)
	last := l.Results[len(l.Results)-1]
	if len(l.Results) != len(s.way.Checks())+3 || last.Outcome != Skipped || last.Detail != "interrupted" {
		t.Errorf("%d results, the last %+v", len(l.Results), last)
	}
}

// offlineTransport is a network that has no AWS.
type offlineTransport struct{}

func (offlineTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("dial tcp: network is unreachable")
}
