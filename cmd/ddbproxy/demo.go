package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/spf13/cobra"
)

func newDemo(c *console) *cobra.Command {
	var (
		once     bool
		dynamodb string
		o        connectOptions
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the whole story here, without an AWS account",
		Long: `Builds a small world inside this process: a bastion (a real ssh server), AWS's
front door (TLS, strict signature checks, a policy on aws:SourceVpce) and a
DynamoDB of ten operations. Then it plays the story: the direct call is denied,
the call through ddbproxy answers. It stays up for you to try, until Ctrl-C.`,
		Example: `  ddbproxy demo
  ddbproxy demo --once
  ddbproxy demo --dynamodb http://localhost:8042`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), c, &o, dynamodb, once)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&once, "once", false, "end after the story")
	f.StringVar(&dynamodb, "dynamodb", "", "`URL` of a DynamoDB emulator to use instead of the built-in one")
	f.StringSliceVar(&o.listen, "listen", nil, "local `address`es (default 127.0.0.1:8000 and [::1]:8000, or a free port)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log each request, and what the tunnel does")
	return cmd
}

// demo sets the stage, plays the story on it and stays.
func demo(ctx context.Context, c *console, o *connectOptions, dynamodb string, once bool) error {
	log := o.logger(c)
	s, err := setStage(dynamodb, log)
	if err != nil {
		return err
	}
	defer s.strike()
	// The demo's world is closed: nothing of the user's own setup plays a part.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") || name == "SSH_AUTH_SOCK" {
			os.Unsetenv(name)
		}
	}
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": s.file("none"), "AWS_SHARED_CREDENTIALS_FILE": s.file("none"),
		"AWS_REGION": demoRegion, "AWS_ACCESS_KEY_ID": s.key, "AWS_SECRET_ACCESS_KEY": s.secret,
	} {
		os.Setenv(name, value)
	}
	o.destinations = []string{"dev@" + s.ssh.String()}
	o.identities, o.knownHosts = []string{s.file("id_ed25519")}, []string{s.file("known_hosts")}
	o.sshConfig, o.caBundle = s.file("ssh_config"), s.file("ca.pem")
	o.carrier, o.compress, o.hold = "relay", "auto", 20*time.Second

	p := &play{c: c, stage: s}
	p.tell("A bastion, AWS's front door and a small DynamoDB now run inside this process.")
	p.tell("The developer's policy denies every call that does not come through %s.", demoVPCE)
	p.act("From the laptop, straight to AWS: denied")
	p.direct(ctx, "list-tables", "ListTables", `{}`, "AccessDeniedException")

	p.act("ddbproxy connect %s", o.destinations[0])
	session, err := openDemo(ctx, c, o)
	if ctx.Err() != nil {
		return &exitError{exitInterrupted, errInterrupted, ""}
	}
	if err != nil {
		return err
	}
	defer session.close(c)
	p.url = session.url
	p.tell("connected, and reached %s through the bastion in %d ms", session.endpoint, session.reached.Milliseconds())
	p.tell("URL=%s", session.url)

	p.act("The same call through it: answered")
	p.through(ctx, "list-tables", "ListTables", `{}`, "")
	p.act("A table, an item, and the item back")
	table := `"TableName":"ddb_test"`
	p.through(ctx, "create-table --table-name ddb_test …", "CreateTable", `{`+table+`,"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],`+
		`"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"N"}],"BillingMode":"PAY_PER_REQUEST"}`, "")
	for n, text := range []string{"", "first", "second"} {
		if n > 0 {
			item := fmt.Sprintf(`{"pk":{"S":"song"},"sk":{"N":"%d"},"title":{"S":"the %s"}}`, n, text)
			p.through(ctx, "put-item --table-name ddb_test --item '"+item+"'", "PutItem", `{`+table+`,"Item":`+item+`}`, "")
		}
	}
	p.through(ctx, `get-item --table-name ddb_test --key '{"pk":{"S":"song"},"sk":{"N":"1"}}'`, "GetItem", `{`+table+`,"Key":{"pk":{"S":"song"},"sk":{"N":"1"}}}`, "")
	p.through(ctx, `query --table-name ddb_test --key-condition-expression 'pk = :p' …`, "Query", `{`+table+`,"KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"song"}}}`, "")
	p.through(ctx, "list-tables", "ListTables", `{}`, "")

	p.act("A web page tries the same port: refused")
	p.page(ctx)
	p.tell("The bastion has carried %d bytes, all of them TLS, and has never seen a key.", s.carried.Load())
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errInterrupted, ""}
	case p.err != nil:
		return p.err
	case once:
		c.tell("\nThat was the story.")
		return nil
	}
	c.tell(`
It stays up until Ctrl-C. In another shell:

  %s
  aws dynamodb scan --table-name ddb_test --endpoint-url %s

or untouched by ddbproxy, with the developer's own key (it opens this demo only):

  export HTTPS_PROXY=%s AWS_CA_BUNDLE=%s
  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s
  aws dynamodb scan --table-name ddb_test --region %s`,
		takeEnv(session.envCommand()), session.url, session.url, s.file("ca.pem"), s.key, s.secret, demoRegion)
	<-ctx.Done()
	return nil
}

// openDemo takes a free port where the usual one is in use.
func openDemo(ctx context.Context, c *console, o *connectOptions) (*session, error) {
	s, err := open(ctx, c, o)
	if len(o.listen) == 0 && errors.Is(err, syscall.EADDRINUSE) {
		c.say("  (%v: taking another port)", err)
		o.listen = []string{"0"}
		return open(ctx, c, o)
	}
	return s, err
}

// play tells the story and keeps the first thing that went otherwise.
type play struct {
	c     *console
	stage *stage
	url   string
	acts  int
	err   error
}

func (p *play) act(format string, args ...any) {
	if p.err == nil {
		p.acts++
		p.c.tell("\n%d. %s", p.acts, fmt.Sprintf(format, args...))
	}
}

// tell prints a line of the story, broken between words to fit a terminal.
func (p *play) tell(format string, args ...any) {
	line := " "
	for _, word := range strings.Split(fmt.Sprintf(format, args...), " ") {
		if len(line)+1+len(word) > 79 && strings.TrimSpace(line) != "" {
			p.c.tell("%s", line)
			line = "   "
		}
		line += " " + word
	}
	p.c.tell("%s", line)
}

// direct calls AWS by its public address.
func (p *play) direct(ctx context.Context, typed, op, body, want string) {
	transport := &http.Transport{
		TLSClientConfig:    &tls.Config{RootCAs: p.stage.ca.Pool()},
		DisableCompression: true,
		DisableKeepAlives:  true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, p.stage.internet.String())
		},
	}
	p.call(ctx, transport, "https://"+demoName+"/", "aws dynamodb "+typed, op, body, want)
}

// through calls the local endpoint, as any AWS tool would.
func (p *play) through(ctx context.Context, typed, op, body, want string) {
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	p.call(ctx, transport, p.url+"/", "aws dynamodb "+typed+" --endpoint-url $URL", op, body, want)
}

// call sends one signed request, shows it as the AWS CLI would, and notes where
// the answer is another error than want ("" for none).
func (p *play) call(ctx context.Context, transport http.RoundTripper, url, typed, op, body, want string) {
	if p.err != nil {
		return
	}
	p.tell("$ %s", typed)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		p.err = err
		return
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: p.stage.key, SecretAccessKey: p.stage.secret}
	if p.err = v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), "dynamodb", demoRegion, time.Now()); p.err != nil {
		return
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		p.err = err
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.err = err
		return
	}
	var failed struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
		Other   string `json:"Message"`
	}
	if resp.StatusCode != http.StatusOK {
		if p.err = json.Unmarshal(text, &failed); p.err != nil {
			return
		}
		_, name, _ := strings.Cut(failed.Type, "#")
		p.tell("An error occurred (%s) when calling the %s operation: %s", name, op, failed.Message+failed.Other)
		if name != want {
			p.err = fmt.Errorf("demo: %s was refused (%s)", op, name)
		}
		return
	}
	if want != "" {
		p.err = fmt.Errorf("demo: %s was answered, and should have been refused (%s)", op, want)
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, text, "  ", "  ") == nil && len(text) > 2 && op != "CreateTable" {
		p.c.tell("  %s", pretty.String())
	}
}

// page does what a script on a web page could.
func (p *play) page(ctx context.Context) {
	if p.err != nil {
		return
	}
	p.tell("fetch(%q, {method: \"POST\"})", p.url)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader("{}"))
	if err != nil {
		p.err = err
		return
	}
	req.Header.Set("Origin", "https://evil.example")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		p.err = err
		return
	}
	defer resp.Body.Close()
	p.tell("%s", resp.Status)
	if resp.StatusCode != http.StatusForbidden {
		p.err = fmt.Errorf("demo: a web page's request was not refused (%s)", resp.Status)
	}
}
