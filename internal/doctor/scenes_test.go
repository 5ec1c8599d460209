package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	"github.com/skeema/knownhosts"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/proxy/denial"
	"github.com/ddbproxy/ddbproxy/tunnel"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

type breach struct {
	name   string
	id     string
	fault  func(s *stage)
	detail string
	remedy string // or one of several, with | between them
}

// scenes break one thing each. The check of that id has to fail, with these words
// in its detail and in its remedy.
var scenes = []breach{
	{"a clock that is ahead", "laptop.clock", func(s *stage) {
		s.machine.Now = func() time.Time { return time.Now().Add(7 * time.Minute) }
	}, "7m", "set-ntp|sntp|w32tm"},
	{"a clock that is behind", "laptop.clock", func(s *stage) {
		s.machine.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	}, "behind AWS", ""},
	{"no credentials", idCredentials, func(s *stage) {
		s.creds = provider(func() (aws.Credentials, error) { return aws.Credentials{}, errors.New("none found") })
	}, "none found", "aws configure"},
	{"an SSO login that has ended", idCredentials, func(s *stage) {
		s.sso = true
		s.machine.Profile = "dev"
		s.creds = provider(func() (aws.Credentials, error) { return aws.Credentials{}, errors.New("token has expired") })
	}, "token has expired", "aws sso login --profile dev"},
	{"a key that AWS does not know", "laptop.identity", func(s *stage) { s.creds = key("AKIADELETED", "secret") },
		"InvalidClientTokenId", "aws configure"},
	{"another key's secret", "laptop.identity", func(s *stage) { s.creds = key(keyID, "wrong") },
		"SignatureDoesNotMatch", "aws configure"},
	{"temporary credentials of SSO that have expired", "laptop.identity", func(s *stage) {
		s.expire()
		s.sso, s.machine.Profile = true, "dev"
	}, "ExpiredToken", "aws sso login --profile dev"},
	{"temporary credentials of a file that have expired", "laptop.identity", func(s *stage) {
		s.expire()
		s.sso = true // keys come before it
		s.creds = from("SharedConfigCredentials: /home/dev/.aws/credentials", keyID, "secret")
		s.machine.Profile = "dev"
	}, "ExpiredToken", "\"aws configure list --profile dev\""},
	{"temporary credentials of the environment that have expired", "laptop.identity", func(s *stage) {
		s.expire()
		s.creds = from(config.CredentialsSourceName, keyID, "secret")
	}, "ExpiredToken", "unset or renew AWS_ACCESS_KEY_ID"},
	{"a key of the environment that AWS does not know", "laptop.identity", func(s *stage) { s.creds = from(config.CredentialsSourceName, "AKIADELETED", "secret") },
		"InvalidClientTokenId", "unset or renew AWS_ACCESS_KEY_ID"},
	{"another key's secret in the environment", "laptop.identity", func(s *stage) { s.creds = from(config.CredentialsSourceName, keyID, "wrong") },
		"SignatureDoesNotMatch", "unset or renew AWS_ACCESS_KEY_ID"},
	{"a role by keys of the environment that have expired", idCredentials, func(s *stage) {
		s.shared = &config.SharedConfig{RoleARN: "arn:aws:iam::123456789012:role/dev", CredentialSource: "Environment"}
		s.creds = provider(func() (aws.Credentials, error) {
			return aws.Credentials{}, &smithy.GenericAPIError{Code: "ExpiredToken"}
		})
	}, "ExpiredToken", "unset or renew AWS_ACCESS_KEY_ID"},
	{"a role by an SSO login that has ended", idCredentials, func(s *stage) {
		s.shared = &config.SharedConfig{RoleARN: "arn:aws:iam::123456789012:role/dev", Source: &config.SharedConfig{SSOSessionName: "corp"}}
		s.creds = provider(func() (aws.Credentials, error) { return aws.Credentials{}, errors.New("token has expired") })
	}, "token has expired", "aws sso login"},

	{"a destination that is an option", "ssh.configuration", func(s *stage) { s.way.Client.Destination = "-oX" },
		"-oX", "USER@"},
	{"a line of ssh_config", "ssh.configuration", func(s *stage) { s.write("ssh_config", "Port many\n") },
		"", "ssh_config"},
	{"no such name", "ssh.name", func(s *stage) { s.way.Client.Destination = "dev@nowhere.invalid" },
		"no such host nowhere.invalid", "check the name"},
	{"nobody listens", "ssh.reach", func(s *stage) { s.way.Client.Destination = "dev@127.0.0.1:1" },
		"connection refused", "HOST:PORT"},
	{"a jump host's name", "ssh.name", func(s *stage) {
		s.write("ssh_config", "Host far\n  HostName 127.0.0.1\n  ProxyJump dev@nowhere.invalid\n")
		s.way.Client.Destination = "dev@far"
	}, "dev@nowhere.invalid:22: no such host", "check the name"},
	{"a jump host that is away", "ssh.reach", func(s *stage) {
		s.write("ssh_config", "Host far\n  HostName 127.0.0.2\n  ProxyJump dev@127.0.0.1:1\n")
		s.way.Client.Destination = "dev@far"
	}, "dev@127.0.0.1:1: connection refused", "HOST:PORT"},
	{"an unknown host key", "ssh.hostkey", func(s *stage) { s.write("known_hosts", "") },
		"is not in", "start ddbproxy connect once on a terminal"},
	{"a changed host key", "ssh.hostkey", func(s *stage) {
		other, _ := newKey(s.t)
		s.write("known_hosts", knownhosts.Line([]string{"*"}, other.PublicKey())+"\n")
	}, "HOST KEY CHANGED", "ssh-keygen"},
	{"a key that the bastion does not know", idLogin, func(s *stage) {
		_, private := newKey(s.t)
		s.write("id", string(private))
	}, "login refused for ed25519", "ssh-add"},
	{"neither forwarding nor a relay", "ssh.forwarding", func(s *stage) { s.way.Client.Carrier = tunnel.CarrierForward },
		"AllowTcpForwarding no", "AllowTcpForwarding yes"},
	{"no session where the relay has to run", "ssh.sessions", func(s *stage) {
		s.bastion.NoSessions = true
		s.way.Client.Carrier = tunnel.CarrierRelay
	}, "none", "MaxSessions to 1 or more"},
	{"no program where the relay has to run", idCarrier, func(s *stage) {
		s.bastion.NoExec = true
		s.way.Client.Carrier = tunnel.CarrierRelay
	}, "runs no program for this account", "--carrier forward"},

	{"a relay that may not", idReach, func(s *stage) { s.way.Client.RelayArgs = []string{"-region", "us-east-1"} },
		"region eu-west-1", "administrator allow " + ddbName},
	{"a name without an address", idReach, func(s *stage) {
		s.dial = failing(&net.DNSError{Err: "no such host", Name: ddbName, IsNotFound: true})
	}, "cannot resolve", "Enable DNS resolution"},
	{"a FIPS name that the region has not", idReach, func(s *stage) {
		s.facts.Endpoint = "dynamodb-fips." + region + ".amazonaws.com"
		s.dial = failing(&net.DNSError{Err: "no such host", Name: s.facts.Endpoint, IsNotFound: true})
	}, "cannot resolve", "unset AWS_USE_FIPS_ENDPOINT"},
	{"no route", idReach, func(s *stage) { s.dial = failing(errors.New("connect: network is unreachable")) },
		"network is unreachable", "create a gateway endpoint for com.amazonaws.eu-west-1.dynamodb"},
	{"no way to an interface endpoint", idReach, func(s *stage) {
		s.place.Lookup = addresses("10.0.0.53")
		s.dial = failing(errors.New("connect: connection refused"))
	}, "refused", "security group of the interface endpoint"},
	{"too many connections", idReach, func(s *stage) {
		s.dial = failing(&relay.Error{Kind: relay.KindLimit, Reason: "200 connections are open"})
	}, "200 connections are open", "raise connections"},
	{"a relay that fails", idReach, func(s *stage) {
		s.dial = failing(&relay.Error{Kind: relay.KindInternal, Reason: "out of memory"})
	}, "out of memory", "-v"},
	{"somebody inspects TLS", idTLS, func(s *stage) {
		other, err := edge.NewCA()
		if err != nil {
			s.t.Fatal(err)
		}
		s.way.Roots = other.Pool()
	}, "ddbproxy throw-away CA", "--ca-bundle"},
	{"another server in DynamoDB's place", idTLS, func(s *stage) { s.dial = s.impostor("other.example.com") },
		"other.example.com", "/etc/hosts"},
	{"a clock at which no certificate is valid", idTLS, func(s *stage) {
		s.way.Now = func() time.Time { return time.Now().AddDate(1, 0, 0) }
	}, "expired", "set-ntp|sntp|w32tm"},
	{"something that is no TLS", idTLS, func(s *stage) {
		addr := s.listen(func(l net.Listener) error {
			for {
				c, err := l.Accept()
				if err != nil {
					return err
				}
				fmt.Fprint(c, "220 mail.example.com ESMTP\r\n")
				c.Close()
			}
		})
		s.dial = to(addr)
	}, "", "curl -v https://" + ddbName},

	{"a bastion in another region", idPlace, func(s *stage) {
		s.aws.Region = "us-east-1"
		s.facts.Region, s.facts.Endpoint = "us-east-1", "dynamodb.us-east-1.amazonaws.com"
		s.way.Client.RelayArgs = []string{"-region", "us-east-1"}
	}, "eu-west-1, vpc-0abc", "--region eu-west-1"},
	{"a resolver that is down", idDNS, func(s *stage) {
		s.place.Lookup = func(context.Context, string) ([]netip.Addr, error) {
			return nil, errors.New("read udp 10.0.0.2:53: i/o timeout")
		}
	}, "i/o timeout", "Enable DNS resolution"},
	{"a sinkhole", idDNS, func(s *stage) { s.place.Lookup = addresses("127.0.0.1") }, "127.0.0.1", "/etc/hosts"},
	{"an interface endpoint's name with a public address", idDNS, func(s *stage) {
		s.facts.Endpoint = vpce + "-abc.dynamodb.eu-west-1.vpce.amazonaws.com"
		s.aws.Names = []string{s.facts.Endpoint, ddbName, "sts." + region + ".amazonaws.com"}
		s.way.Client.RelayArgs = []string{"-region", region, "-vpce", vpce}
	}, "52.94.24.5", "/etc/hosts"},

	{"keys that work anywhere", "proof.direct", func(s *stage) { s.aws.Policy = edge.Policy{} },
		"ListTables is answered, without the bastion", "ddbproxy policy --vpce vpce-… --deny"},
	{"keys that work anywhere, and a known endpoint", "proof.direct", func(s *stage) {
		s.aws.Policy = edge.Policy{}
		s.facts.VPCE = vpce
	}, "", "ddbproxy policy --vpce " + vpce + " --deny"},
	{"AWS's time is another", "proof.direct", func(s *stage) {
		s.way.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
	}, "Signature expired", "set-ntp|sntp|w32tm"},
	{"a key of the environment that DynamoDB does not know", "proof.direct", func(s *stage) { s.creds = from(config.CredentialsSourceName, "AKIADELETED", "secret") },
		"UnrecognizedClientException", "unset or renew AWS_ACCESS_KEY_ID"},
	{"a key that DynamoDB does not know", "proof.direct", func(s *stage) { s.creds = key("AKIADELETED", "secret") },
		"UnrecognizedClientException", "aws configure"},
	{"a policy that names another endpoint", idThrough, func(s *stage) { s.aws.Policy.SourceVpce = "vpce-0fedcba9876543210" },
		"not authorized to perform: dynamodb:ListTables", "have it allowed in IAM: ddbproxy policy"},
	{"a policy of another endpoint, and a bastion whose traffic is known to pass it by", idThrough, func(s *stage) {
		s.aws.Policy.SourceVpce = "vpce-0fedcba9876543210"
		s.facts.path = denial.Past
	}, "not authorized", "mend what failed under AWS"},
	{"a table that is not there", idThrough, func(s *stage) { s.facts.Table = "music" },
		"no table music in eu-west-1", "aws dynamodb list-tables"},
	{"a DynamoDB that fails", idThrough, func(s *stage) { s.aws.Backend = nil },
		"InternalServerError", "AWS Support"},
	{"a connection that is cut", idThrough, func(s *stage) {
		s.aws.Fault = func(string, int) edge.Action { return edge.DropRequest }
	}, "EOF", "ddbproxy doctor"},
	{"a way that is gone meanwhile", idThrough, func(s *stage) {
		n := 0
		s.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			if n++; n > 2 { // after those that look
				return nil, errors.New("connect: connection refused")
			}
			return to(s.inside)(ctx, network, "")
		}
	}, "refused", "gateway endpoint"},
}

func TestScenes(t *testing.T) {
	for _, tc := range scenes {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, tc.fault)
			results, text := s.examine()
			i := slices.IndexFunc(results, func(r Result) bool { return r.ID == tc.id })
			if i < 0 || results[i].Outcome != Failed {
				t.Fatalf("%s has not failed:\n%s", tc.id, text)
			}
			for _, r := range results[:i] {
				if r.Outcome == Failed && (r.ID != "laptop.identity" || tc.id != "proof.direct") { // the same key is unknown there
					t.Errorf("%s has failed before it:\n%s", r.ID, text)
				}
			}
			if r := results[i]; !strings.Contains(r.Detail, tc.detail) || !containsOne(r.Remedy, tc.remedy) {
				t.Errorf("%s is %q with the remedy %q; want %q, %q", tc.id, r.Detail, r.Remedy, tc.detail, tc.remedy)
			}
			complete(t, results)
		})
	}
}

func containsOne(text, alternatives string) bool {
	return slices.ContainsFunc(strings.Split(alternatives, "|"), func(a string) bool { return strings.Contains(text, a) })
}

// complete checks what holds for all results: a failed one is explained, a skipped
// one has a reason, and nothing tells a secret.
func complete(t *testing.T, results []Result) {
	t.Helper()
	for _, r := range results {
		switch {
		case r.Detail == "" || r.Outcome == "":
			t.Errorf("%s says nothing: %+v", r.ID, r)
		case (r.Outcome == Failed) != (r.Meaning != "") || (r.Outcome == Failed) != (r.Remedy != ""):
			t.Errorf("%s is %s with the meaning %q and the remedy %q", r.ID, r.Outcome, r.Meaning, r.Remedy)
		}
	}
}

func TestAllWell(t *testing.T) {
	s := newStage(t, nil)
	results, text := s.examine()
	for _, r := range results {
		if r.Outcome != OK {
			t.Errorf("%s is %s: %s", r.ID, r.Outcome, r.Detail)
		}
	}
	complete(t, results)
	for _, want := range []string{
		"identity               arn:aws:iam::123456789012:user/dev\n",
		"region and VPC         eu-west-1, vpc-0abc, subnet-0abc, i-0123456789abcdef0\n",
		"DNS of DynamoDB        52.94.24.5: public, as a gateway endpoint needs it\n",
		"from here              denied, as it should be: User: arn:aws:iam::123456789012:user/dev is not authorized to perform: dynamodb:ListTables",
		"through the tunnel     ListTables is answered\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	f := *s.facts
	f.Direct = nil
	if f.VPC != "vpc-0abc" || f.Subnet != "subnet-0abc" || !slices.Equal(f.SecurityGroups, []string{"sg-0abc"}) || f.PrivateAddr.String() != "10.0.0.10" ||
		f.BastionRegion != region || f.Account != "123456789012" || f.AccessKeyID != keyID || s.facts.Direct == nil || f.Through != nil {
		t.Errorf("facts %+v, denial %+v", f, s.facts.Direct)
	}
}

// Each check can fail, and does so in some scene. Those of the machine itself are
// the command's, and have theirs in its scripts; latency is a measurement.
func TestEachCheckHasAScene(t *testing.T) {
	w := &Way{}
	elsewhere := []string{idConfiguration, idSettings, "laptop.port", "proof.latency"}
	for _, c := range slices.Concat((&Machine{}).Checks(), w.Checks(), w.Proof()) {
		staged := slices.ContainsFunc(scenes, func(b breach) bool { return b.id == c.ID })
		if !staged && !slices.Contains(elsewhere, c.ID) && !slices.ContainsFunc(traps, func(tr trap) bool { return tr.id == c.ID }) {
			t.Errorf("no scene makes %s fail", c.ID)
		}
	}
}

// provider gives credentials, or an error.
type provider func() (aws.Credentials, error)

// Retrieve implements aws.CredentialsProvider.
func (p provider) Retrieve(context.Context) (aws.Credentials, error) { return p() }

func key(id, secret string) provider {
	return func() (aws.Credentials, error) { return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil }
}

// from is a key of a source, as the SDK names them.
func from(source, id, secret string) provider {
	return func() (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, Source: source}, nil
	}
}

// expire has AWS refuse the stage's key as one that is over.
func (s *stage) expire() {
	user := s.aws.Users[keyID]
	user.Expires = time.Now().Add(-time.Minute)
	s.aws.Users[keyID] = user
}

func failing(err error) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}

func to(addr net.Addr) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr.String())
	}
}

func addresses(texts ...string) func(context.Context, string) ([]netip.Addr, error) {
	return func(context.Context, string) (addrs []netip.Addr, _ error) {
		for _, text := range texts {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		return addrs, nil
	}
}

// impostor is a TLS server with a trusted certificate for another name.
func (s *stage) impostor(name string) func(context.Context, string, string) (net.Conn, error) {
	cert, err := s.aws.CA.Issue(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return to(s.listen(func(l net.Listener) error {
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			conn := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
			_ = conn.Handshake() // the client refuses it
			conn.Close()
		}
	}))
}
