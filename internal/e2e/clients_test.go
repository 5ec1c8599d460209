//go:build linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// proxyMode is the environment of a client in proxy mode: it does its own TLS.
func (r *rig) proxyMode() []string {
	return []string{"HTTPS_PROXY=" + localURL, "AWS_CA_BUNDLE=" + r.caFile}
}

// outcome is how a client's program ended.
type outcome struct {
	code        int
	out, stderr string
}

// client runs a program on the laptop as a developer would.
func (r *rig) client(env []string, name string, args ...string) outcome {
	r.tb.Helper()
	cmd := r.Command(r.tb.Context(), lab.Laptop, name, args...)
	cmd.Env = append(append(cmd.Env, "XDG_RUNTIME_DIR="+r.runtime), env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	giveUp := time.AfterFunc(90*time.Second, func() { _ = cmd.Process.Kill() })
	defer giveUp.Stop()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.tb.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), said.String()}
}

// cli runs the AWS CLI. Debian's does not know AWS_ENDPOINT_URL_DYNAMODB, so
// endpoint mode is an argument.
func (r *rig) cli(env []string, args ...string) outcome {
	r.tb.Helper()
	return r.client(append(env, "AWS_PAGER="), "/usr/bin/aws", append([]string{"dynamodb"}, args...)...)
}

// local is the AWS CLI in endpoint mode with the profile's keys.
func (r *rig) local(args ...string) outcome {
	r.tb.Helper()
	return r.cli(nil, append(args, "--endpoint-url", localURL)...)
}

// inSession is a command line that has run `eval "$(ddbproxy env)"` before.
func inSession(name string, args ...string) (string, []string) {
	return "/bin/sh", append([]string{"-ec", `env=$("` + programs + `/ddbproxy" env); eval "$env"; exec "$@"`, "sh", name}, args...)
}

// withoutKeys is the environment of a client that finds nothing in ~/.aws.
func withoutKeys() []string {
	return []string{"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"}
}

// gosdk is a Go client that runs in the test, but dials from the laptop.
func (r *rig) gosdk(options ...func(*dynamodb.Options)) *dynamodb.Client {
	r.tb.Helper()
	return r.sdkOver(&http.Transport{DialContext: r.Dialer(lab.Laptop), DisableCompression: true}, append([]func(*dynamodb.Options){
		func(o *dynamodb.Options) { o.BaseEndpoint = aws.String(localURL) },
	}, options...)...)
}

// gosdkProxyMode is gosdk with HTTPS_PROXY instead of an endpoint.
func (r *rig) gosdkProxyMode(options ...func(*dynamodb.Options)) *dynamodb.Client {
	r.tb.Helper()
	proxy, err := url.Parse(localURL)
	if err != nil {
		r.tb.Fatal(err)
	}
	return r.sdkOver(&http.Transport{
		DialContext:        r.Dialer(lab.Laptop),
		Proxy:              http.ProxyURL(proxy),
		TLSClientConfig:    &tls.Config{RootCAs: r.ca.Pool()},
		DisableCompression: true,
	}, options...)
}

func (r *rig) sdkOver(t *http.Transport, options ...func(*dynamodb.Options)) *dynamodb.Client {
	r.tb.Cleanup(t.CloseIdleConnections)
	return dynamodb.New(dynamodb.Options{
		Region:      lab.Region,
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
		HTTPClient:  &http.Client{Transport: t, Timeout: 60 * time.Second},
	}, options...)
}

// fromBastion is a client beside ddbproxy: it asks DynamoDB from the bastion.
func (r *rig) fromBastion() *dynamodb.Client {
	r.tb.Helper()
	return r.sdkOver(&http.Transport{DialContext: r.Dialer(lab.Bastion), TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool()}, DisableCompression: true})
}

// items reads a table from the bastion; the keys are those of the items.
func (r *rig) items(table string) map[string]row {
	r.tb.Helper()
	items := map[string]row{}
	for p := dynamodb.NewScanPaginator(r.fromBastion(), &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)}); p.HasMorePages(); {
		page, err := p.NextPage(r.tb.Context())
		if err != nil {
			r.tb.Fatal(err)
		}
		for _, item := range page.Items {
			items[keyOf(item)] = item
		}
	}
	return items
}

// once switches a client's retries off.
func once(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

// contains checks that a text says all of it.
func contains(r *rig, got string, want ...string) {
	r.tb.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			r.tb.Errorf("got %q, want %q in it", got, w)
		}
	}
}
