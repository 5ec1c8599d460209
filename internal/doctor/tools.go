package doctor

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Tools are the AWS tools of the shell that doctor was started in: what they find
// in the environment and in the profile that they take.
type Tools struct {
	// Env gives a variable as it was when the program began.
	Env func(name string) string
	// Profile is the one that the tools take, which need not be ddbproxy's.
	Profile config.SharedConfig
	// URL is the local endpoint, for advice.
	URL string
	// Ports are ddbproxy's own: those of running sessions, and of the one to come.
	Ports []string
	// CLI runs "aws --version"; the error is why there is no AWS CLI.
	CLI func(ctx context.Context) (string, error)
}

func (t *Tools) checks() []Check {
	return []Check{
		{ID: "laptop.region", Section: Laptop, Title: "region of AWS tools", Run: t.region},
		{ID: "laptop.cli", Section: Laptop, Title: "AWS CLI", Run: t.cli},
		{ID: "laptop.endpoint", Section: Laptop, Title: "endpoint settings", Run: t.endpoint},
		{ID: "laptop.ignore", Section: Laptop, Title: "endpoints ignored", Run: t.ignored},
		{ID: "laptop.variant", Section: Laptop, Title: "FIPS and dual stack", Run: t.variant},
		{ID: "laptop.proxy", Section: Laptop, Title: "proxy settings", Run: t.proxy},
	}
}

// setting is a variable's value, else the profile's, and where it comes from.
func (t *Tools) setting(variable, key, inProfile string) (value, where string) {
	if v := t.Env(variable); v != "" {
		return v, variable + "=" + v
	}
	if inProfile != "" {
		return inProfile, fmt.Sprintf("%s of the profile %s", key, t.Profile.Profile)
	}
	return "", ""
}

// unset is the command that takes a setting away.
func (t *Tools) unset(variable, key string) string {
	if t.Env(variable) != "" {
		return "unset " + variable
	}
	return fmt.Sprintf("take %s out of the profile %s in ~/.aws/config", key, t.Profile.Profile)
}

// dynamoDB is the endpoint that this shell's tools take for DynamoDB.
func (t *Tools) dynamoDB() (url, where string) {
	inProfile := t.Profile.Services.ServiceValues["dynamodb"]["endpoint_url"]
	return t.setting("AWS_ENDPOINT_URL_DYNAMODB", "endpoint_url", inProfile)
}

func (t *Tools) region(_ context.Context, f *Facts) Finding {
	for _, variable := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if v := t.Env(variable); v != "" {
			return Well("%s, by %s", v, variable)
		}
	}
	if t.Profile.Region != "" {
		return Well("%s, by the profile %s", t.Profile.Region, t.Profile.Profile)
	}
	region := f.Region
	if region == "" {
		region = "eu-west-1"
	}
	return Bad("none", "AWS tools sign for a region, and refuse to go on without one.", "aws configure set region "+region)
}

// cliVersion is how "aws --version" begins.
var cliVersion = regexp.MustCompile(`aws-cli/([0-9]+)\.([0-9]+)(\.[0-9]+)?`)

// cli names an AWS CLI from before endpoint variables: they came with 2.13 and 1.29
// (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
func (t *Tools) cli(ctx context.Context, _ *Facts) Finding {
	text, err := t.CLI(ctx)
	if err != nil {
		return Skip("%v", err)
	}
	m := cliVersion.FindStringSubmatch(text)
	if m == nil {
		return Skip("aws --version prints %q", firstLine(text))
	}
	version := strings.TrimPrefix(m[0], "aws-cli/")
	major, _ := strconv.Atoi(m[1]) // digits, by the pattern
	minor, _ := strconv.Atoi(m[2])
	if major > 2 || major == 2 && minor >= 13 || major == 1 && minor >= 29 {
		return Well("%s", version)
	}
	if _, where := t.dynamoDB(); where != "" {
		return Bad(version+", with "+where, "It is older than endpoint settings (2.13, 1.29): it passes them over and goes past ddbproxy.",
			"aws dynamodb list-tables --endpoint-url "+t.URL)
	}
	return Well("%s: it needs --endpoint-url, for it does not know AWS_ENDPOINT_URL_DYNAMODB", version)
}

func (t *Tools) endpoint(context.Context, *Facts) Finding {
	if _, where := t.setting("AWS_ENDPOINT_URL", "endpoint_url", t.Profile.BaseEndpoint); where != "" {
		return Bad(where, "Every AWS service is sent there. ddbproxy serves DynamoDB only, so that STS, SSO and all else fail.", t.unset("AWS_ENDPOINT_URL", "endpoint_url"))
	}
	if _, where := t.dynamoDB(); where != "" {
		return Well("%s", where)
	}
	return Well("none")
}

func (t *Tools) ignored(context.Context, *Facts) Finding {
	const variable, key = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls"
	inProfile := ""
	if aws.ToBool(t.Profile.IgnoreConfiguredEndpoints) {
		inProfile = "true"
	}
	value, where := t.setting(variable, key, inProfile)
	if !strings.EqualFold(value, "true") {
		return Well("none")
	}
	return Bad(where, "AWS tools pass AWS_ENDPOINT_URL_DYNAMODB and endpoint_url over, go past ddbproxy, and are denied.", t.unset(variable, key))
}

// variant finds the settings with which the SDKs refuse an endpoint of one's own.
func (t *Tools) variant(_ context.Context, f *Facts) Finding {
	fips, dual := "", ""
	if t.Profile.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled {
		fips = "true"
	}
	if t.Profile.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled {
		dual = "true"
	}
	_, local := t.dynamoDB()
	var on []string
	remedy := ""
	for _, s := range []struct{ variable, key, inProfile string }{
		{"AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint", fips},
		{"AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint", dual},
	} {
		value, where := t.setting(s.variable, s.key, s.inProfile)
		if !strings.EqualFold(value, "true") {
			continue
		}
		if on = append(on, where); remedy == "" {
			remedy = "export " + s.variable + "=false"
		}
	}
	switch settings := strings.Join(on, ", "); {
	case len(on) == 0:
		return Well("none")
	case local != "":
		return Bad(settings+", with "+local, "The SDKs refuse an endpoint of one's own with such a setting. ddbproxy goes by it when it is started, and ddbproxy env switches it off for the tools.", remedy)
	default:
		return Well("%s: ddbproxy sends requests to %s", settings, f.Endpoint)
	}
}

// proxy finds proxies that catch what is meant for others.
func (t *Tools) proxy(context.Context, *Facts) Finding {
	for _, variable := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		if v := t.Env(variable); t.isOurs(v) {
			return Bad(variable+"="+v, "All that this shell sends over https goes to ddbproxy, which lets DynamoDB pass and nothing else: not STS, not SSO.",
				"unset "+variable)
		}
	}
	for _, variable := range []string{"HTTP_PROXY", "http_proxy"} {
		v := t.Env(variable)
		if v != "" && !t.spared("localhost") {
			return Bad(variable+"="+withoutPassword(v), "Tools send what is meant for "+t.URL+" to that proxy, where localhost is another machine.",
				"export NO_PROXY=localhost,127.0.0.1 no_proxy=localhost,127.0.0.1")
		}
	}
	return Well("none in the way")
}

// isOurs reports whether a proxy's URL is a session's.
func (t *Tools) isOurs(proxy string) bool {
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	u, err := url.Parse(proxy)
	if err != nil || !slices.Contains(t.Ports, u.Port()) {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// spared reports whether NO_PROXY has a host.
func (t *Tools) spared(host string) bool {
	for _, variable := range []string{"NO_PROXY", "no_proxy"} {
		for name := range strings.SplitSeq(t.Env(variable), ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(strings.TrimPrefix(name, "."), host) {
				return true
			}
		}
	}
	return false
}

// withoutPassword is a proxy's URL that may be shown.
func withoutPassword(proxy string) string {
	u, err := url.Parse(proxy)
	if err != nil {
		return "(not a URL)"
	}
	return u.Redacted()
}
