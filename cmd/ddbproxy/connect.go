package main

import (
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ddbproxy/ddbproxy/proxy"
	"github.com/ddbproxy/ddbproxy/tunnel"
)

// connectOptions are the flags of connect.
type connectOptions struct {
	config       string
	destinations []string
	instance     instance
	listen       []string
	listenNames  []string
	anywhere     bool
	tls          bool
	regions      []string
	profiles     []string // the first is the default
	callers      string   // profile whose key callers may have too
	endpoint     string
	identities   []string
	sshConfig    string
	sshCommand   string
	knownHosts   []string
	caBundle     string
	carrier      string
	compress     string
	hold         time.Duration
	verbose      bool

	program  func(goos, goarch string) *tunnel.Program // the demo has none to upload
	ours     []net.Listener
	ports    []string    // of other sessions of this user, which no call of our own may go through
	detached bool        // startInBackground began us
	end      func()      // another command ends the session; nil: none can
	stays    bool        // a person has the terminal before them as long as the session lasts
	up       atomic.Bool // the session is served; other commands may ask before
	asking   atomic.Bool // for an MFA code
}

func newConnect(c *console) *cobra.Command {
	o := &connectOptions{program: relayProgram}
	background := false
	cmd := &cobra.Command{
		Use:   "connect {[USER@]HOST[:PORT]... | TARGET | --instance-connect ID}",
		Short: "Open a tunnel to a bastion and serve DynamoDB on localhost",
		Long: `Opens an ssh connection to a bastion, starts a small relay there (uploaded if
it is not installed), and serves DynamoDB on http://localhost:8000 until Ctrl-C.

HOST is whatever "ssh HOST" takes: ~/.ssh/config, the agent, known_hosts and
jump hosts apply. Requests must be signed with this session's key (see ddbproxy
env) or with the profile's own access key; they are signed again for AWS here.

HTTPS_PROXY=http://localhost:8000 works too: then the client's own TLS and
signature pass through untouched.

Several profiles are served at the same time: a request is signed with that of
the key it came with. ddbproxy env --profile prod gives the key of one of them.

A GUI that keeps a key of its own, or makes one up, signs with that: put it into
a profile in ~/.aws/credentials, and give --caller-profile. The key opens
nothing but this port; a secret that others know, or guess, opens that to them.

Several HOSTs are kept connected at the same time: the nearest that is well is
used, the first among equals, and another takes over when it fails.

With --instance-connect i-0123... each login is by a new key that EC2 Instance
Connect gives the instance for 60 seconds; it stays in memory. HOST is a way to
that instance then. Without HOST the way is its public address, else its private
one, the user is ec2-user (--instance-connect ubuntu@i-0123... for another), and
known_hosts has its host key under the instance id, because addresses change
hands. A section "Host i-*" of ~/.ssh/config applies to it, ProxyJump and
ProxyCommand included. It takes ec2-instance-connect:SendSSHPublicKey, and
ec2:DescribeInstances to find the address.

With --tls the port serves https too, for tools that insist on it, by a
certificate for localhost, 127.0.0.1 and ::1, and for names of --listen-name and
addresses that are listened on. Its authority is made once for this user and
these names, and can vouch for nothing else; it is put into no trust store.
ddbproxy env and exec set AWS_CA_BUNDLE to a file with it and the authorities
trusted before.

Every flag can also be given as an environment variable: DDBPROXY_REGION for
--region, DDBPROXY_CA_BUNDLE for --ca-bundle, and so on; or in a file, which can
also name TARGETs: a bastion or several with their settings. See ddbproxy config
--help.`,
		Example: `  ddbproxy connect dev@bastion.example.com
  aws dynamodb list-tables --endpoint-url http://localhost:8000

  ddbproxy connect bastion --profile dev --region eu-west-1 --listen 8001
  ddbproxy connect bastion \
    --endpoint vpce-0abc-xyz.dynamodb.eu-west-1.vpce.amazonaws.com
  ddbproxy connect --instance-connect i-0123456789abcdef0
  ddbproxy connect bastion-a bastion-b
  ddbproxy connect bastion --profile dev,prod
  ddbproxy connect prod
  ddbproxy connect bastion --ssh-command "ssh -o PKCS11Provider=/usr/lib/p11.so"
  ddbproxy connect pod/relay --ssh-command "kubectl exec -i %n -- sh -c %c"
  ddbproxy connect bastion --background
  ddbproxy connect bastion -v`,
		Args: cobra.ArbitraryArgs, // o.target looks at them
		RunE: func(cmd *cobra.Command, args []string) error {
			bastions, err := fromFile(c, cmd, args)
			if err != nil {
				return err
			}
			if err := o.target(bastions); err != nil {
				return err
			}
			if background && !o.detached {
				return o.inBackground(cmd.Context(), c)
			}
			return orTarget(cmd, args, connect(cmd.Context(), c, o))
		},
	}
	cmd.DisableFlagsInUseLine = true // it would be too long
	f := cmd.Flags()
	o.flags(f)
	f.BoolVar(&background, "background", false, "return when the session is up, without asking anything; ddbproxy disconnect ends it, ddbproxy logs shows what it says")
	f.BoolVar(&o.detached, "detached", false, "")
	_ = f.MarkHidden("detached") // it is there
	return cmd
}

const configUsage = "configuration `file` (default: the one that ddbproxy config path prints)"

// flags are those of every command that opens a session.
func (o *connectOptions) flags(f *pflag.FlagSet) {
	o.wayFlags(f)
	f.StringSliceVar(&o.listenNames, "listen-name", nil, "further `name`s in endpoint URLs of callers, such as host.docker.internal (default: localhost and the addresses)")
	f.StringVar(&o.callers, "caller-profile", "", "AWS `profile` whose access key callers may sign with too; it need not be AWS's: for tools that keep a key of their own")
	f.BoolVar(&o.tls, "tls", false, "serve https on the same port too, with a certificate authority of this user's; ddbproxy env and exec set AWS_CA_BUNDLE")
	f.StringVar(&o.compress, "compress", "auto", "ask AWS for compressed answers in the caller's place: auto (while large ones arrive slowly), on or off")
	f.DurationVar(&o.hold, "hold", defaultHold, "how long a request waits for a tunnel that is down")
}

const defaultHold = 20 * time.Second

// wayFlags say by what way, and with what, a session would come to AWS.
func (o *connectOptions) wayFlags(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", "", configUsage)
	f.StringSliceVar(&o.listen, "listen", nil, "local `address`es, loopback only (default 127.0.0.1:8000 and [::1]:8000)")
	f.BoolVar(&o.anywhere, "listen-anywhere", false, "let --listen have addresses that other machines reach, such as 0.0.0.0:8000; callers sign as ever, but what they read and write crosses that network in the clear (but for --tls), and who can listen there could send a request once more for 5 minutes")
	f.StringSliceVar(&o.regions, "region", nil, "AWS `region`s to serve, the first is the default (default: the profile's)")
	f.StringSliceVar(&o.profiles, "profile", nil, "AWS `profile`s to sign with, each for callers with its key; the first is the default (default: AWS_PROFILE, else default)")
	f.StringVar(&o.endpoint, "endpoint", "", "DynamoDB endpoint `name`, such as an interface endpoint's (default: the region's; its FIPS or dual-stack one as AWS's settings ask)")
	f.Var(&o.instance, "instance-connect", "log in with a fresh key of EC2 Instance Connect to the `instance` i-0123..., and without HOST find its address")
	f.StringSliceVarP(&o.identities, "identity", "i", nil, "ssh private key `file` for HOST (its jump hosts take theirs from the configuration)")
	f.StringVarP(&o.sshConfig, "ssh-config", "F", "", "ssh configuration `file` instead of ~/.ssh/config")
	f.StringVar(&o.sshCommand, "ssh-command", "", "shell `command` that reaches HOST instead of the ssh in here; HOST and what to run there are added, or stand for %n and %c")
	f.StringSliceVar(&o.knownHosts, "known-hosts", nil, "known_hosts `file` instead of ssh's")
	f.StringVar(&o.caBundle, "ca-bundle", "", "PEM `file` of certificate authorities for AWS (default: AWS_CA_BUNDLE, else the system's)")
	f.StringVar(&o.carrier, "carrier", "auto", "how connections travel: auto, relay or forward")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log each request, and what the tunnel does")
}

// check refuses what flags cannot mean, before anything is opened.
func (o *connectOptions) check() error {
	if !slices.Contains([]string{"auto", "relay", "forward"}, o.carrier) {
		return usageError("auto takes the relay, and forward where none can run", "--carrier %s: not auto, relay or forward", o.carrier)
	}
	if !slices.Contains([]proxy.Compression{proxy.CompressAuto, proxy.CompressOn, proxy.CompressOff}, proxy.Compression(o.compress)) {
		return usageError("auto compresses while large answers arrive slowly", "--compress %s: not auto, on or off", o.compress)
	}
	for _, r := range o.regions {
		if err := checkRegion(r); err != nil {
			return err
		}
	}
	if err := o.checkSSHCommand(); err != nil {
		return err
	}
	if err := checkNames(o.listenNames); err != nil {
		return err
	}
	if o.hold < time.Second || o.hold > 55*time.Second {
		return usageError("SDKs of the Python family send a request again after 60s", "--hold %v: not between 1s and 55s", o.hold)
	}
	// An endpoint may be pasted as the URL that AWS's console shows.
	o.endpoint = strings.TrimSuffix(strings.TrimPrefix(o.endpoint, "https://"), "/")
	if strings.Contains(o.endpoint, "/") || strings.HasSuffix(o.endpoint, ":80") {
		return usageError("DynamoDB is reached by TLS on port 443 only", "--endpoint %s: not https://NAME", o.endpoint)
	}
	o.endpoint = strings.TrimSuffix(o.endpoint, ":443")
	return nil
}

// checkSSHCommand refuses what the command would have to be told itself.
func (o *connectOptions) checkSSHCommand() error {
	other := ""
	switch {
	case o.sshCommand == "":
		return nil
	case strings.TrimSpace(o.sshCommand) == "":
		return usageError("give a command such as ssh -F FILE", "--ssh-command is empty")
	case o.carrier == "forward":
		return usageError("a command gives one stream, which is for the relay", "--carrier forward does not go with --ssh-command")
	case o.instance.id != "":
		other = "--instance-connect"
	case o.sshConfig != "":
		other = "--ssh-config"
	case len(o.identities) > 0:
		other = "--identity"
	case len(o.knownHosts) > 0:
		other = "--known-hosts"
	default:
		return nil
	}
	return usageError("put what it says into the command", "%s has no effect with --ssh-command", other)
}

// hasOwnSSH reports whether flags say how to log in.
func (o *connectOptions) hasOwnSSH() bool {
	return o.sshConfig != "" || o.sshCommand != "" || len(o.identities)+len(o.knownHosts) > 0
}

// regionName is how AWS's regions are called. A host of such a name can be given
// as USER@HOST.
var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+){1,3}-[0-9]$`)

// several takes the bastions from the arguments.
func (o *connectOptions) several(args []string) error {
	for i, a := range args {
		switch {
		case strings.HasPrefix(a, "-"), strings.ContainsFunc(a, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
			return usageError("ddbproxy connect dev@bastion.example.com", "%q is not a bastion", a)
		case strings.Trim(a, "0123456789") == "":
			return usageError("the local port is --listen "+a+"; the bastion's is HOST:PORT", "%q is not a bastion", a)
		case regionName.MatchString(a):
			return usageError("did you mean --region "+a+"?", "%q is not a bastion", a)
		case slices.Contains(args[:i], a):
			return usageError("give each bastion once", "%s is there twice", a)
		}
	}
	o.destinations = args
	return nil
}

// isOurs reports whether host:port is one of our own listeners, or another
// session's.
func (o *connectOptions) isOurs(hostport string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return false
	}
	return slices.Contains(o.ports, port) || slices.ContainsFunc(o.ours, func(l net.Listener) bool {
		_, p, _ := net.SplitHostPort(l.Addr().String())
		return p == port
	})
}

// logger writes to the console's err: warnings only, everything with -v.
func (o *connectOptions) logger(c *console) *slog.Logger {
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(lockedWriter{c}, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
			}
			return a
		},
	}))
}

// lockedWriter keeps log lines out of questions.
type lockedWriter struct{ c *console }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.c.err.Write(p)
}

// greet tells what was reached and what to type next.
func greet(c *console, s *session, detached bool) {
	for _, st := range s.tunnel.Status() {
		how := "by the relay there"
		if st.Carrier == tunnel.CarrierForward {
			how = "by ssh forwarding"
		}
		switch {
		case st.InUse:
			c.say("ddbproxy: connected to %s, %s", st.Server, how)
		case st.Up:
			c.say("ddbproxy: %s stands by", st.Server)
		case st.Err != nil:
			c.say("ddbproxy: %s is not connected and tried again: %v", st.Destination, st.Err)
		default:
			c.say("ddbproxy: %s is being connected", st.Destination)
		}
		if st.Carrier == tunnel.CarrierForward && st.Reason != "" {
			c.say("ddbproxy: no relay could run there: %s", st.Reason)
		}
	}
	if s.reached > 0 {
		c.say("ddbproxy: reached %s in %d ms", s.endpoint, s.reached.Milliseconds())
	} else {
		c.say("ddbproxy: %s is not reached yet, and requests wait for it: %v", s.endpoint, s.unreached)
	}
	c.tell("%s", s.url)
	if s.identity == "" {
		c.say("\nNothing can be signed without AWS credentials: set them up, and go on. A client\nwith credentials of its own can use HTTPS_PROXY=%s", s.info().plainURL())
	} else {
		c.say("ddbproxy: signing as %s", s.identity)
		c.say("\nTry, here in another shell:\n\n  aws dynamodb list-tables --endpoint-url %s", s.info().plainURL())
	}
	if s.control != nil && s.identity != "" {
		c.say("\nwith this first where the access key is another than that (SSO, roles):\n\n  %s", takeEnv(s.envCommand()))
	}
	if s.ca != nil {
		c.say("\nhttps needs clients that trust %s: ddbproxy env sets AWS_CA_BUNDLE\nand NODE_EXTRA_CA_CERTS, curl --cacert can name the file. It is in no trust store; to\nput it there yourself:\n\n  %s", s.ca.file, trustCommand(s.ca.file))
	}
	if !detached {
		c.say("\nCtrl-C ends it.")
		return
	}
	c.say("\n%s ends it.", s.command("disconnect"))
	if out, ok := c.out.(io.Closer); ok {
		out.Close() // all is said that startInBackground waits for
	}
	c.bound(s.info().port())
}

// envCommand prints this session's settings, in any shell of this user.
func (s *session) envCommand() string { return s.command("env") }

// command is one for this session, in any shell of this user.
func (s *session) command(name string) string {
	command := self() + " " + name
	if port := s.url[strings.LastIndex(s.url, ":")+1:]; port != defaultPort {
		command += " --local-port " + port
	}
	return command
}
