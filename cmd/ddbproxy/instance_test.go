package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/internal/bastion"
	"github.com/ddbproxy/ddbproxy/internal/instances"
)

const testInstance = "i-0123456789abcdef0"

// region is a laptop's environment, the stage of the demo, and an EC2 with an
// instance beside the stage's bastion that takes pushed keys only.
type region struct {
	*stage
	ec2 *instances.Server
	url string // of both services
}

func newRegion(t *testing.T) *region {
	t.Helper()
	s, err := setStage("", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &region{stage: s, ec2: &instances.Server{Region: demoRegion, KeyID: s.key, Secret: s.secret}}
	web := httptest.NewServer(r.ec2)
	r.url = web.URL
	door := &bastion.Server{HostKey: s.bastion.HostKey, Dial: s.bastion.Dial, Login: func(c *ssh.ServerConfig) {
		c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !r.ec2.Accepts(testInstance, m.User(), key) {
				return nil, errors.New("not pushed")
			}
			return nil, nil
		}
	}}
	t.Cleanup(func() {
		web.Close()
		door.Close()
		s.strike()
	})
	addr, err := s.listen(door.Serve)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(addr.String())
	r.ec2.Put(testInstance, instances.Instance{State: "running", PublicIP: host, PrivateIP: "10.0.0.10"})
	known := testInstance + ",[127.0.0.1]:" + port + " " + string(ssh.MarshalAuthorizedKey(door.HostKey.PublicKey()))
	for name, text := range map[string]string{
		"known_hosts": known,
		"ssh_config": "Host i-*\n  Port " + port + "\n  ConnectTimeout 5\nHost bastion\n  HostName 127.0.0.1\n  User ubuntu\n  Port " + port +
			"\nHost *\n  IdentityAgent none\n  IdentityFile none\n  IdentitiesOnly yes\n",
	} {
		if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"HOME": t.TempDir(), "XDG_RUNTIME_DIR": t.TempDir(), "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
		"AWS_ACCESS_KEY_ID": s.key, "AWS_SECRET_ACCESS_KEY": s.secret, "AWS_REGION": demoRegion,
		"AWS_CA_BUNDLE": s.file("ca.pem"), "AWS_MAX_ATTEMPTS": "1",
		"AWS_ENDPOINT_URL_EC2": r.url, "AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT": r.url,
	} {
		t.Setenv(name, value)
	}
	return r
}

// args are those of ddbproxy connect here.
func (r *region) args(more ...string) []string {
	return append([]string{"connect", "--ssh-config", r.file("ssh_config"), "--known-hosts", r.file("known_hosts"), "--listen", "0"}, more...)
}

// open opens a session as the command line would.
func (r *region) open(t *testing.T, id string, args ...string) *session {
	t.Helper()
	c := &console{in: strings.NewReader(""), out: io.Discard, err: io.Discard, hurry: t.Context()}
	o := &connectOptions{sshConfig: r.file("ssh_config"), knownHosts: []string{r.file("known_hosts")}, listen: []string{"0"},
		carrier: "auto", compress: "auto", hold: 20e9, program: relayProgram}
	if err := errors.Join(o.instance.Set(id), o.target(args)); err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(c) })
	return s
}

func TestInstanceConnectPushesAKeyForTheRightUser(t *testing.T) {
	for _, tt := range []struct {
		name, id, user string
		args           []string
	}{
		{"by id", testInstance, "ec2-user", nil},
		{"by id, with a user", "admin@" + testInstance, "admin", nil},
		{"by a Host and its user", testInstance, "ubuntu", []string{"bastion"}},
		{"by a Host with a user", testInstance, "dev", []string{"dev@bastion"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegion(t)
			if tt.args != nil { // nobody may look for an address then
				r.ec2.Refuse(instances.Describe, instances.Refusal{Status: 400, Code: "UnauthorizedOperation"})
			}
			s := r.open(t, tt.id, tt.args...)
			if got, want := s.tunnel.Status()[0].Server, tt.user+"@127.0.0.1:"; !strings.HasPrefix(got, want) {
				t.Errorf("connected to %q, want %s…", got, want)
			}
			pushes := r.ec2.Pushes()
			if len(pushes) != 1 || pushes[0].User != tt.user || pushes[0].Instance != testInstance {
				t.Errorf("pushed %+v, want one key for %s", pushes, tt.user)
			}
		})
	}
}

func TestInstanceConnectErrorsTellWhatToDo(t *testing.T) {
	r := newRegion(t)
	instance := []string{"--instance-connect", testInstance}
	byHost := append(instance, "bastion")
	refuse := func(action string, status int, code, message string) func() {
		return func() { r.ec2.Refuse(action, instances.Refusal{Status: status, Code: code, Message: message}) }
	}
	push := func(status int, code, message string) func() { return refuse(instances.Push, status, code, message) }
	describe := func(status int, code, message string) func() {
		return refuse(instances.Describe, status, code, message)
	}
	state := func(i instances.Instance) func() { return func() { r.ec2.Put(testInstance, i) } }
	running := instances.Instance{State: "running", PublicIP: "127.0.0.1"}
	for _, tt := range []struct {
		name  string
		setUp func()
		args  []string
		code  int
		want  string
	}{
		{"the policy forbids it", push(400, "AuthException", "not you"), byHost, exitLogin,
			"EC2 Instance Connect: AuthException: not you; let this user do ec2-instance-connect:SendSSHPublicKey on " + testInstance},
		{"IAM forbids it", push(403, "AccessDeniedException", "User: x is not authorized"), byHost, exitLogin,
			"AccessDeniedException: User: x is not authorized; let this user do ec2-instance-connect:SendSSHPublicKey"},
		{"the credentials are none of AWS's", push(403, "UnrecognizedClientException", "invalid"), byHost, exitLogin,
			"UnrecognizedClientException: invalid; check the AWS credentials: aws sts get-caller-identity"},
		{"the credentials have expired", push(403, "ExpiredTokenException", "expired"), byHost, exitLogin, "check the AWS credentials"},
		{"no such instance", push(400, "EC2InstanceNotFoundException", ""), byHost, exitUnreachable,
			"there is no instance " + testInstance + " in eu-west-1; check the id, --region and --profile"},
		{"it is stopped", push(400, "EC2InstanceStateInvalidException", ""), byHost, exitUnreachable,
			"the instance is not running; start it: aws ec2 start-instances --instance-ids " + testInstance + " --region eu-west-1"},
		{"it is unavailable", push(503, "EC2InstanceUnavailableException", "wait"), byHost, exitUnreachable, "wait; try again in a few minutes"},
		{"too many requests", push(429, "ThrottlingException", "slow"), byHost, exitUnreachable, "ThrottlingException: slow; try again in a moment"},
		{"the service is ill", push(500, "ServiceException", "ill"), byHost, exitUnreachable, "ServiceException: ill; try again in a moment"},
		{"another error of the service", push(500, "InternalFailure", "oh"), byHost, exitUnreachable, "InternalFailure: oh; try again in a moment"},
		{"the user is not valid", push(400, "InvalidArgsException", "bad"), byHost, exitUsage, "InvalidArgsException: bad; check the user name"},
		{"of the serial console", push(400, "EC2InstanceTypeInvalidException", "type"), byHost, exitLogin, "EC2 Instance Connect: EC2InstanceTypeInvalidException: type"},

		{"no address without permission", describe(403, "UnauthorizedOperation", "You are not authorized. Encoded authorization failure message: xYz"), instance, exitLogin,
			"EC2: UnauthorizedOperation: You are not authorized.; let this user do ec2:DescribeInstances, or give the way: ddbproxy connect --instance-connect " + testInstance + " USER@HOST"},
		{"no address of an unknown instance", describe(400, "InvalidInstanceID.NotFound", "no"), instance, exitUnreachable, "EC2: there is no instance"},
		{"no address while throttled", describe(503, "RequestLimitExceeded", "slow"), instance, exitUnreachable, "RequestLimitExceeded: slow; try again in a moment"},
		{"no address of a stopped instance", state(instances.Instance{State: "stopped", PrivateIP: "127.0.0.1"}), instance, exitUnreachable, "EC2: the instance is stopped; start it"},
		{"no address yet", state(instances.Instance{State: "pending"}), instance, exitUnreachable, "has no address yet; try again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			push(0, "", "")()
			describe(0, "", "")()
			state(running)()
			tt.setUp()
			var stderr bytes.Buffer
			code := run(r.args(tt.args...), strings.NewReader(""), io.Discard, &stderr)
			if code != tt.code || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit code %d and %q, want %d and %q in it", code, &stderr, tt.code, tt.want)
			}
			if strings.Contains(stderr.String(), "Encoded") || strings.Contains(stderr.String(), r.secret) || strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("said %q, want one line with what a person can use", &stderr)
			}
		})
	}
}

func TestInstanceConnectWithoutAWS(t *testing.T) {
	r := newRegion(t)
	for _, tt := range []struct {
		name, variable, value string
		code                  int
		want                  string
	}{
		{"no credentials", "AWS_SECRET_ACCESS_KEY", "", exitUsage, "EC2 Instance Connect needs AWS credentials: none found in the environment"},
		{"no answer", "AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT", "http://127.0.0.1:1", exitUnreachable, "EC2 Instance Connect in eu-west-1 does not answer: dial tcp 127.0.0.1:1: connect: connection refused; check this machine's network"},
		{"another's endpoint", "AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT", untrusted(t), exitUnreachable, "give its authority with --ca-bundle"},
		{"a wrong secret", "AWS_SECRET_ACCESS_KEY", "wrong", exitLogin, "InvalidSignatureException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			if tt.value == "" {
				t.Setenv("AWS_ACCESS_KEY_ID", "")
			}
			var stderr bytes.Buffer
			code := run(r.args("--instance-connect", testInstance, "bastion"), strings.NewReader(""), io.Discard, &stderr)
			if code != tt.code || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit code %d and %q, want %d and %q in it", code, &stderr, tt.code, tt.want)
			}
		})
	}
}

// untrusted is an endpoint whose certificate no one here has heard of.
func untrusted(t *testing.T) string {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestInstanceThatRefusesThePushedKeySaysWhy(t *testing.T) {
	r := newRegion(t)
	const deaf = "i-0fedcba9876543210"
	r.ec2.Put(deaf, instances.Instance{State: "running"})
	var stderr bytes.Buffer
	code := run(r.args("--instance-connect", deaf, "bastion"), strings.NewReader(""), io.Discard, &stderr)
	for _, want := range []string{"login refused for ed25519 SHA256:", " from EC2 Instance Connect", "ec2-instance-connect is installed on " + deaf} {
		if code != exitLogin || !strings.Contains(stderr.String(), want) {
			t.Errorf("exit code %d and %q, want %d and %q in it", code, &stderr, exitLogin, want)
		}
	}
}

func TestPrivateAddressThatDoesNotAnswerNamesTheOtherWays(t *testing.T) {
	r := newRegion(t)
	// No TCP connection goes there (RFC 919, section 7).
	r.ec2.Put(testInstance, instances.Instance{State: "running", PrivateIP: "255.255.255.255"})
	var stderr bytes.Buffer
	code := run(r.args("--instance-connect", testInstance), strings.NewReader(""), io.Discard, &stderr)
	for _, want := range []string{"ec2-user@255.255.255.255:", "use a VPN", "ProxyJump", "ProxyCommand aws ec2-instance-connect open-tunnel --instance-id %h"} {
		if code != exitUnreachable || !strings.Contains(stderr.String(), want) {
			t.Errorf("exit code %d and %q, want %d and %q in it", code, &stderr, exitUnreachable, want)
		}
	}
}
