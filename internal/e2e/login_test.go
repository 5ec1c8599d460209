//go:build linux

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// What a login gives: temporary keys, and the device whose codes STS wants.
const (
	roleKeyID  = "ASIAE2EROLE"
	roleSecret = "e2e/secret/of/a/role"
	roleToken  = "e2e/session/token"
	device     = "arn:aws:iam::123456789012:mfa/dev"
)

// roleUser is the role as DynamoDB knows it.
func roleUser(s *edge.Server) {
	s.Users[roleKeyID] = edge.User{Secret: roleSecret, SessionToken: roleToken, Account: "123456789012", ARN: "arn:aws:sts::123456789012:assumed-role/dev/e2e"}
}

// loginServices is IAM Identity Center (its OIDC service and its portal) and STS, as far
// as the AWS CLI and SDKs ask them.
type loginServices struct {
	tb testing.TB
	// life is how long a role's keys are good.
	life time.Duration
	// codes are what the device shows: good once each.
	codes []string

	mu     sync.Mutex
	tokens map[string]bool // that are good
	given  int
	asked  int // for keys
}

// openLogins serves the names of the logins' services to the laptop.
func (r *rig) openLogins(l *loginServices) *loginServices {
	r.tb.Helper()
	const addr = "203.0.113.54"
	l.tb, l.tokens = r.tb, make(map[string]bool)
	for ns, args := range map[lab.NS][]string{
		lab.AWS:    {"address", "add", addr + "/32", "dev", "lo"},
		lab.Laptop: {"route", "add", addr, "dev", "internet", "src", lab.LaptopWAN},
	} {
		if out, err := r.Command(r.tb.Context(), ns, "ip", args...).CombinedOutput(); err != nil {
			r.tb.Fatalf("ip: %v\n%s", err, out)
		}
	}
	names := []string{"oidc." + lab.Region + ".amazonaws.com", "portal.sso." + lab.Region + ".amazonaws.com", "sts." + lab.Region + ".amazonaws.com"}
	if err := r.AddHost(lab.Laptop, addr, names...); err != nil {
		r.tb.Fatal(err)
	}
	cert, err := r.ca.Issue(names...)
	if err != nil {
		r.tb.Fatal(err)
	}
	ln, err := r.Listen(lab.AWS, "tcp", addr+":443")
	if err != nil {
		r.tb.Fatal(err)
	}
	server := &http.Server{Handler: l}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})) })
	r.tb.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return l
}

// revoke ends all logins.
func (l *loginServices) revoke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.tokens)
}

func (l *loginServices) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		l.tb.Error(err)
	}
	refuse := func(status int, kind, fields string) {
		w.Header().Set("X-Amzn-Errortype", kind)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{%s}`, fields)
	}
	answer := func(fields map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(fields); err != nil {
			l.tb.Error(err)
		}
	}
	switch path := r.Method + " " + r.URL.Path; path {
	case "POST /client/register":
		answer(map[string]any{"clientId": "client", "clientSecret": "known", "clientIdIssuedAt": time.Now().Unix(), "clientSecretExpiresAt": time.Now().Add(time.Hour).Unix()})
	case "POST /device_authorization":
		answer(map[string]any{"deviceCode": "device", "userCode": "ABCD-EFGH", "verificationUri": "https://corp.example", "verificationUriComplete": "https://corp.example/?user_code=ABCD-EFGH", "expiresIn": 600, "interval": 1})
	case "POST /token":
		var grant struct{ GrantType, DeviceCode string }
		if err := json.Unmarshal(body, &grant); err != nil || grant.DeviceCode != "device" {
			refuse(http.StatusBadRequest, "InvalidGrantException", `"error":"invalid_grant","error_description":"Invalid grant provided"`)
			return
		}
		l.given++
		token := fmt.Sprintf("token %d", l.given)
		l.tokens[token] = true
		answer(map[string]any{"accessToken": token, "tokenType": "Bearer", "expiresIn": 3600, "refreshToken": "refresh"})
	case "GET /federation/credentials":
		l.asked++
		if !l.tokens[r.Header.Get("X-Amz-Sso_bearer_token")] {
			refuse(http.StatusUnauthorized, "UnauthorizedException", `"message":"Session token not found or invalid"`)
			return
		}
		answer(map[string]any{"roleCredentials": map[string]any{"accessKeyId": roleKeyID, "secretAccessKey": roleSecret, "sessionToken": roleToken, "expiration": time.Now().Add(l.life).UnixMilli()}})
	case "POST /":
		l.asked++
		l.assumeRole(w, r, body)
	default:
		l.tb.Errorf("%s was asked for", path)
		http.NotFound(w, r)
	}
}

// assumeRole is STS: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (l *loginServices) assumeRole(w http.ResponseWriter, r *http.Request, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Action") != "AssumeRole" || !edge.SignedWith(r, body, keyID, secret, "sts", lab.Region) {
		l.tb.Errorf("STS got %q, %v", form, err)
	}
	w.Header().Set("Content-Type", "text/xml")
	if len(l.codes) == 0 || form.Get("TokenCode") != l.codes[0] || form.Get("SerialNumber") != device {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code>`+
			`<Message>MultiFactorAuthentication failed with invalid MFA one time pass code. </Message></Error></ErrorResponse>`)
		return
	}
	l.codes = l.codes[1:]
	fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>`+
		`<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration>`+
		`</Credentials></AssumeRoleResult></AssumeRoleResponse>`, roleKeyID, roleSecret, roleToken, time.Now().Add(l.life).UTC().Format(time.RFC3339))
}

// sessionClient is a Go client with the running session's key.
func (r *rig) sessionClient(args ...string) *dynamodb.Client {
	r.tb.Helper()
	got := r.client(nil, filepath.Join(programs, "ddbproxy"), append([]string{"credentials"}, args...)...)
	var key struct{ AccessKeyId, SecretAccessKey string }
	if err := json.Unmarshal([]byte(got.out), &key); err != nil {
		r.tb.Fatalf("%+v: %v", got, err)
	}
	return r.gosdk(once, func(o *dynamodb.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(key.AccessKeyId, key.SecretAccessKey, "")
	})
}

// The login is not there, is made, is over, and is made again, by the AWS CLI
// itself; the session stays and goes by it.
func TestSSOLoginIsPickedUp(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"legacy", "corporate"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{}, roleUser)
			l := r.openLogins(&loginServices{life: time.Minute}) // short of the SDK's margin: each request asks anew
			const of = "sso_start_url = https://corp.example/start\nsso_region = " + lab.Region + "\n"
			r.write(filepath.Join(r.Home, ".aws", "config"), "[sso-session corp]\n"+of+"sso_registration_scopes = sso:account:access\n"+
				"[profile corporate]\nregion = "+lab.Region+"\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n"+
				"[profile legacy]\nregion = "+lab.Region+"\n"+of+"sso_account_id = 123456789012\nsso_role_name = dev\n")
			r.openDoor(lab.SSHDOptions{})
			s := r.connect("--profile", profile)
			c := r.sessionClient()
			hint := "the SSO session of profile " + profile + " has expired or is missing; run aws sso login --profile " + profile
			told := func() int { return strings.Count(s.stderr.String(), hint) }
			expired := func(from int) {
				t.Helper()
				var asking sync.WaitGroup
				for range 5 {
					asking.Go(func() {
						if _, err := c.ListTables(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "DDBProxyCredentialsExpired: ddbproxy: "+hint) {
							t.Errorf("ListTables: %v, want it to say %q", err, hint)
						}
					})
				}
				asking.Wait()
				eventually(t, "the terminal is told", func() bool { return told() > from })
				if told() != from+1 {
					t.Errorf("the terminal was told %d times, want once for all requests:\n%s", told()-from, s.stderr)
				}
			}
			login := func() {
				t.Helper()
				got := r.client([]string{"AWS_CA_BUNDLE=" + r.caFile}, "/usr/bin/aws", "sso", "login", "--profile", profile, "--no-browser")
				if got.code != 0 {
					t.Fatalf("aws sso login: %+v", got)
				}
				if _, err := c.ListTables(t.Context(), nil); err != nil {
					t.Errorf("after the login: %v", err)
				}
			}
			eventually(t, "it is said", func() bool { return told() > 0 })
			if told() != 1 {
				t.Errorf("at the start ddbproxy said %q, want %q once", s.stderr, hint)
			}
			expired(1)
			login()
			l.revoke()
			expired(2)
			login()
			// A request that waits for the tunnel hears of it too.
			l.revoke()
			r.door.Stop()
			r.door.KillSessions()
			expired(3)
			for _, private := range []string{roleSecret, roleToken, "token 1"} {
				if strings.Contains(s.stderr.String(), private) {
					t.Errorf("ddbproxy has shown %q", private)
				}
			}
		})
	}
}

// A role that wants a code: it is asked for on the terminal, at the start and
// when it is needed later.
func TestMFACodeIsAskedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{}, roleUser)
	r.openLogins(&loginServices{life: time.Hour, codes: []string{"123456"}})
	r.write(filepath.Join(r.Home, ".aws", "config"), "[default]\nregion = "+lab.Region+"\n[profile admin]\nregion = "+lab.Region+
		"\nrole_arn = arn:aws:iam::123456789012:role/dev\nsource_profile = default\nmfa_serial = "+device+"\n")
	r.openDoor(lab.SSHDOptions{})
	const question = "MFA code for " + device + ": "

	// Without a terminal it is said what is needed.
	s := r.connect("--profile", "admin")
	contains(r, s.stderr.String(), "an MFA code is needed; start ddbproxy connect again on a terminal")
	s.stop(os.Interrupt)

	at := r.terminal("--profile", "admin")
	asked := func(n int) {
		t.Helper()
		eventually(t, "the code is asked for", func() bool { return strings.Count(at.screen.String(), question) == n })
	}
	asked(1)
	fmt.Fprintln(at.keyboard, "999999")
	eventually(t, "it is connected", func() bool { return strings.Contains(at.screen.String(), "Ctrl-C ends it.") })
	contains(r, at.screen.String(), "MultiFactorAuthentication failed with invalid MFA one time pass code")

	c := r.sessionClient()
	answered := make(chan error, 1)
	go func() {
		_, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{Limit: aws.Int32(1)})
		answered <- err
	}()
	asked(2)
	fmt.Fprintln(at.keyboard, "123456")
	if err := <-answered; err != nil {
		t.Errorf("ListTables: %v", err)
	}
	if _, err := c.ListTables(t.Context(), nil); err != nil {
		t.Errorf("ListTables: %v", err)
	}
	asked(2) // its keys last for an hour
	if strings.Contains(at.screen.String(), roleSecret) {
		t.Errorf("a secret was shown:\n%s", at.screen)
	}
	at.interrupt()
}
