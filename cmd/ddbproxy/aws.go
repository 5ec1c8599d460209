package main

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"
	"golang.org/x/net/http/httpproxy"

	"github.com/ddbproxy/ddbproxy/proxy"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel"
)

// awsSettings is what AWS's own configuration and the flags come to.
type awsSettings struct {
	identities []proxy.Identity // one for each profile, with a new session key
	regions    []string
	config     aws.Config     // for calls of our own
	roots      *x509.CertPool // nil: the system's
	caBundle   string         // the file of roots, for hints
}

// loadAWS reads the profile as every AWS tool does.
func loadAWS(ctx context.Context, o *connectOptions, prompter tunnel.Prompter) (*awsSettings, error) {
	s := &awsSettings{}
	var err error
	if s.roots, s.caBundle, err = loadRoots(o.caBundle); err != nil {
		return nil, err
	}
	// Our own calls (STS, SSO, EC2) must not come back to us by way of the settings
	// that send the user's tools here.
	os.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
	proxyOf := httpproxy.FromEnvironment().ProxyFunc() // of now: net/http keeps what it was asked for first
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.Proxy = func(r *http.Request) (*url.URL, error) {
			u, err := proxyOf(r.URL)
			if u != nil && (o.isOurs(u.Host) || isLinkLocal(r.URL.Hostname())) {
				return nil, err
			}
			return u, err
		}
		if s.roots != nil {
			t.TLSClientConfig.RootCAs = s.roots.Clone() // AWS_CA_BUNDLE is added to it
		}
	})
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithLogger(logging.Nop{}), // it would write to standard error
		// One try, as the AWS CLI: where there are no metadata each request would wait.
		config.WithEC2RoleCredentialOptions(func(e *ec2rolecreds.Options) {
			e.Client = imds.New(imds.Options{HTTPClient: client, Retryer: aws.NopRetryer{}})
		}),
		config.WithCredentialsCacheOptions(func(c *aws.CredentialsCacheOptions) {
			c.ExpiryWindow, c.ExpiryWindowJitterFrac = 5*time.Minute, 0.5
		}),
		config.WithAssumeRoleCredentialOptions(func(a *stscreds.AssumeRoleOptions) {
			if a.Duration == 0 {
				a.Duration = time.Hour // as the AWS CLI; the SDK's own is 15 minutes
			}
			a.TokenProvider = func() (string, error) { return o.askForMFA(ctx, prompter, aws.ToString(a.SerialNumber)) }
		}),
	}
	for i, profile := range o.profileNames() {
		cfg, err := loadProfile(ctx, profile, options)
		if err != nil {
			return nil, err
		}
		if cfg.Credentials = (explained{cfg.Credentials, o}); i == 0 {
			s.config = cfg
		}
		if profile == "" {
			profile = profileIn(cfg)
		}
		s.identities = append(s.identities, proxy.Identity{Credentials: cfg.Credentials, Keys: []proxy.Key{proxy.NewKey()}, Profile: profile})
	}
	if o.callers != "" {
		key, err := callerKey(ctx, o.callers)
		if err != nil {
			return nil, err
		}
		s.identities[0].Keys = append(s.identities[0].Keys, key)
	}
	s.regions, err = pickRegions(o, s.config.Region)
	return s, err
}

// profileNames are the profiles to sign with, at least one; "" is the one that
// AWS's settings name.
func (o *connectOptions) profileNames() []string {
	if len(o.profiles) == 0 {
		return []string{""}
	}
	return o.profiles
}

func loadProfile(ctx context.Context, profile string, options []func(*config.LoadOptions) error) (aws.Config, error) {
	if profile != "" {
		options = append(slices.Clone(options), config.WithSharedConfigProfile(profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	var noProfile config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &noProfile):
		return cfg, usageError("aws configure list-profiles shows them", "there is no AWS profile %q in ~/.aws/config or ~/.aws/credentials", noProfile.Profile)
	case err != nil:
		return cfg, usageError("fix ~/.aws/config", "AWS configuration: %v", err)
	}
	return cfg, refuseOwnProfile(cfg, profile)
}

// profileIn is the profile that AWS's settings name, "" for the default one or
// none: keys in the environment come before it.
func profileIn(cfg aws.Config) string {
	name := ""
	for _, source := range cfg.ConfigSources {
		switch source := source.(type) {
		case config.EnvConfig:
			if source.Credentials.HasKeys() {
				return ""
			}
		case config.SharedConfig:
			name = source.Profile
		}
	}
	if name == config.DefaultSharedConfigProfile {
		return ""
	}
	return name
}

// isLinkLocal reports whether a host is where a machine's own metadata are, which
// no proxy has.
func isLinkLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLinkLocalUnicast()
}

// ownProcess is the credential_process of a profile that ddbproxy configure
// wrote.
var ownProcess = regexp.MustCompile(`(^|[/\\"])ddbproxy(\.exe)?"? credentials( |$)`)

// refuseOwnProfile refuses a profile whose keys would come from ourselves.
func refuseOwnProfile(cfg aws.Config, named string) error {
	for _, source := range cfg.ConfigSources {
		switch source := source.(type) {
		case config.EnvConfig:
			if source.Credentials.HasKeys() && named == "" {
				return nil // they come before the profile's
			}
		case config.SharedConfig:
			if ownProcess.MatchString(source.CredentialProcess) {
				return usageError("name the profile that has your keys: --profile, or AWS_PROFILE", "the AWS profile %q is for the clients of ddbproxy, and has its own key only", source.Profile)
			}
		}
	}
	return nil
}

// pickRegions settles which regions are served; the first is the default.
func pickRegions(o *connectOptions, configured string) ([]string, error) {
	regions := o.regions
	if o.endpoint != "" {
		ep, err := endpoint.Parse(o.endpoint)
		if err != nil {
			return nil, usageError("give --endpoint a name such as vpce-0abc-xyz.dynamodb.eu-west-1.vpce.amazonaws.com", "--endpoint: %v", err)
		}
		if len(regions) == 0 {
			return []string{ep.Region}, nil
		}
	}
	if len(regions) == 0 && configured != "" {
		regions = []string{configured}
	}
	if len(regions) == 0 {
		return nil, usageError("give --region eu-west-1 (the bastion's), or set AWS_REGION, or region in the profile", "no region")
	}
	for _, r := range regions {
		if err := checkRegion(r); err != nil {
			return nil, err
		}
	}
	return regions, nil
}

func checkRegion(region string) error {
	if _, err := endpoint.Host(endpoint.DynamoDB, region, false, false); err != nil {
		return usageError("give --region the bastion's region, such as eu-west-1", "%q is not an AWS region that has DynamoDB", region)
	}
	return nil
}

// loadRoots reads a PEM file of certificate authorities. The file replaces the
// system's, as AWS_CA_BUNDLE does for the AWS CLI.
func loadRoots(flag string) (*x509.CertPool, string, error) {
	name := flag
	if name == "" {
		name = os.Getenv("AWS_CA_BUNDLE")
	}
	if name == "" {
		return nil, "", nil
	}
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, "", usageError("give --ca-bundle (or AWS_CA_BUNDLE) a PEM file that exists", "CA bundle: %v", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, "", usageError("it should hold lines like -----BEGIN CERTIFICATE-----", "CA bundle %s has no certificate", name)
	}
	return roots, name, nil
}
