package doctor

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// trap is what a shell or a profile may have that leads tools past ddbproxy.
type trap struct {
	name    string
	env     string // NAME=VALUE, with blanks between
	profile func(*config.SharedConfig)
	cli     string
	id      string
	outcome Outcome
	detail  string
	remedy  string
}

func endpointOf(c *config.SharedConfig) {
	c.Services.ServiceValues = map[string]map[string]string{"dynamodb": {"endpoint_url": "http://localhost:8000"}}
}

var traps = []trap{
	{name: "no region", id: "laptop.region", outcome: Failed, detail: "none", remedy: "aws configure set region eu-central-1"},
	{name: "a region of the shell", env: "AWS_DEFAULT_REGION=eu-west-1", id: "laptop.region", outcome: OK, detail: "eu-west-1, by AWS_DEFAULT_REGION"},
	{name: "a region of the profile", profile: func(c *config.SharedConfig) { c.Region = "eu-west-1" }, id: "laptop.region", outcome: OK, detail: "eu-west-1, by the profile dev"},

	{name: "an old CLI and a variable", env: "AWS_ENDPOINT_URL_DYNAMODB=http://localhost:8000", cli: "aws-cli/2.9.19 Python/3.11.2 Linux/6.1 source", id: "laptop.cli",
		outcome: Failed, detail: "2.9.19, with AWS_ENDPOINT_URL_DYNAMODB=http://localhost:8000", remedy: "--endpoint-url http://localhost:8000"},
	{name: "an old CLI and a profile", profile: endpointOf, cli: "aws-cli/1.28.9 Python/3.9", id: "laptop.cli", outcome: Failed, detail: "1.28.9, with endpoint_url of the profile dev", remedy: "--endpoint-url"},
	{name: "an old CLI", cli: "aws-cli/2.9.19 Python/3.11.2", id: "laptop.cli", outcome: OK, detail: "2.9.19: it needs --endpoint-url"},
	{name: "CLI 1.29", cli: "aws-cli/1.29.0", env: "AWS_ENDPOINT_URL_DYNAMODB=x", id: "laptop.cli", outcome: OK, detail: "1.29.0"},
	{name: "CLI 2.13", cli: "aws-cli/2.13.1 Python", env: "AWS_ENDPOINT_URL_DYNAMODB=x", id: "laptop.cli", outcome: OK, detail: "2.13.1"},
	{name: "CLI 3", cli: "aws-cli/3.0", env: "AWS_ENDPOINT_URL_DYNAMODB=x", id: "laptop.cli", outcome: OK, detail: "3.0"},
	{name: "no CLI", id: "laptop.cli", outcome: Skipped, detail: "there is no aws"},
	{name: "another aws", cli: "usage: aws", id: "laptop.cli", outcome: Skipped, detail: `prints "usage: aws"`},

	{name: "an endpoint for all", env: "AWS_ENDPOINT_URL=http://localhost:8000", id: "laptop.endpoint", outcome: Failed, detail: "AWS_ENDPOINT_URL=http://localhost:8000", remedy: "unset AWS_ENDPOINT_URL"},
	{name: "a profile's endpoint for all", profile: func(c *config.SharedConfig) { c.BaseEndpoint = "http://localhost:8000" }, id: "laptop.endpoint", outcome: Failed,
		detail: "endpoint_url of the profile dev", remedy: "take endpoint_url out of the profile dev"},
	{name: "DynamoDB's endpoint", env: "AWS_ENDPOINT_URL_DYNAMODB=http://localhost:8000", id: "laptop.endpoint", outcome: OK, detail: "AWS_ENDPOINT_URL_DYNAMODB=http://localhost:8000"},
	{name: "no endpoint", id: "laptop.endpoint", outcome: OK, detail: "none"},

	{name: "endpoints are passed over", env: "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=TRUE", id: "laptop.ignore", outcome: Failed, detail: "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=TRUE", remedy: "unset AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"},
	{name: "a profile passes endpoints over", profile: func(c *config.SharedConfig) { c.IgnoreConfiguredEndpoints = aws.Bool(true) }, id: "laptop.ignore", outcome: Failed,
		detail: "ignore_configured_endpoint_urls of the profile dev", remedy: "take ignore_configured_endpoint_urls out of the profile dev"},
	{name: "the shell overrules the profile", env: "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false", profile: func(c *config.SharedConfig) { c.IgnoreConfiguredEndpoints = aws.Bool(true) }, id: "laptop.ignore", outcome: OK, detail: "none"},

	{name: "FIPS with an endpoint", env: "AWS_USE_FIPS_ENDPOINT=true AWS_ENDPOINT_URL_DYNAMODB=http://localhost:8000", id: "laptop.variant", outcome: Failed,
		detail: "AWS_USE_FIPS_ENDPOINT=true, with AWS_ENDPOINT_URL_DYNAMODB", remedy: "export AWS_USE_FIPS_ENDPOINT=false"},
	{name: "a profile's dual stack with its endpoint", profile: func(c *config.SharedConfig) {
		endpointOf(c)
		c.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
	}, id: "laptop.variant", outcome: Failed, detail: "use_dualstack_endpoint of the profile dev", remedy: "export AWS_USE_DUALSTACK_ENDPOINT=false"},
	{name: "FIPS alone", profile: func(c *config.SharedConfig) { c.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled }, id: "laptop.variant", outcome: OK, detail: "ddbproxy sends requests to dynamodb-fips"},
	{name: "FIPS overruled", env: "AWS_USE_FIPS_ENDPOINT=false AWS_ENDPOINT_URL_DYNAMODB=x", profile: func(c *config.SharedConfig) { c.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled }, id: "laptop.variant", outcome: OK, detail: "none"},

	{name: "a proxy that is ourselves", env: "HTTPS_PROXY=http://localhost:8000", id: "laptop.proxy", outcome: Failed, detail: "HTTPS_PROXY=http://localhost:8000", remedy: "unset HTTPS_PROXY"},
	{name: "the same without a scheme", env: "https_proxy=127.0.0.1:8001", id: "laptop.proxy", outcome: Failed, detail: "https_proxy=127.0.0.1:8001", remedy: "unset https_proxy"},
	{name: "another proxy here", env: "HTTPS_PROXY=http://localhost:3128", id: "laptop.proxy", outcome: OK, detail: "none in the way"},
	{name: "a company's proxy on that port", env: "HTTPS_PROXY=http://proxy.example.com:8000", id: "laptop.proxy", outcome: OK, detail: "none in the way"},
	{name: "a proxy that gets what is for localhost", env: "HTTP_PROXY=http://ann:hunter2@proxy.example.com:3128", id: "laptop.proxy", outcome: Failed,
		detail: "HTTP_PROXY=http://ann:xxxxx@proxy.example.com:3128", remedy: "export NO_PROXY=localhost"},
	{name: "a proxy that spares localhost", env: "http_proxy=http://proxy.example.com:3128 no_proxy=10.0.0.1,localhost", id: "laptop.proxy", outcome: OK, detail: "none in the way"},
	{name: "a proxy that spares all", env: "HTTP_PROXY=http://proxy.example.com:3128 NO_PROXY=*", id: "laptop.proxy", outcome: OK, detail: "none in the way"},
}

func TestTraps(t *testing.T) {
	for _, tc := range traps {
		t.Run(tc.name, func(t *testing.T) {
			env := map[string]string{}
			for setting := range strings.FieldsSeq(tc.env) {
				name, value, _ := strings.Cut(setting, "=")
				env[name] = value
			}
			tools := Tools{
				Env: func(name string) string { return env[name] }, Profile: config.SharedConfig{Profile: "dev"},
				URL: "http://localhost:8000", Ports: []string{"8000", "8001"},
				CLI: func(context.Context) (string, error) {
					if tc.cli == "" {
						return "", errors.New("there is no aws on the PATH")
					}
					return tc.cli + "\n", nil
				},
			}
			if tc.profile != nil {
				tc.profile(&tools.Profile)
			}
			results := Run(t.Context(), tools.checks(), &Facts{Region: "eu-central-1", Endpoint: "dynamodb-fips.eu-central-1.amazonaws.com"}, nil)
			complete(t, results)
			for _, r := range results {
				if r.ID == tc.id && (r.Outcome != tc.outcome || !strings.Contains(r.Detail, tc.detail) || !strings.Contains(r.Remedy, tc.remedy)) {
					t.Errorf("%s is %s: %s, with the remedy %q; want %s, %q, %q", r.ID, r.Outcome, r.Detail, r.Remedy, tc.outcome, tc.detail, tc.remedy)
				}
			}
		})
	}
}
