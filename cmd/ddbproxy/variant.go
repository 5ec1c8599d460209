package main

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// variant is which of a region's endpoints AWS's settings ask for. The SDKs
// refuse a custom endpoint with such a setting, so clients have it off, and the
// session routes as it says.
type variant struct{ fips, dualStack bool }

// variantOf looks into the sources of AWS's settings; the first that says
// anything counts.
func variantOf(sources []any) variant {
	var v variant
	var fipsFound, dualFound bool
	for _, source := range sources {
		if s, ok := source.(interface {
			GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
		}); ok && !fipsFound {
			var state aws.FIPSEndpointState
			state, fipsFound, _ = s.GetUseFIPSEndpoint(context.Background()) // it only looks
			v.fips = state == aws.FIPSEndpointStateEnabled
		}
		if s, ok := source.(interface {
			GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
		}); ok && !dualFound {
			var state aws.DualStackEndpointState
			state, dualFound, _ = s.GetUseDualStackEndpoint(context.Background())
			v.dualStack = state == aws.DualStackEndpointStateEnabled
		}
	}
	return v
}

// wishes are what AWS's settings ask for, of a command or a shell.
type wishes struct {
	variant
	// profile is the one whose requests the command's are: it was named, or
	// AWS_PROFILE names it. "" where nothing does.
	profile string
}

// wanted is what the environment, or else the profile in it, asks for.
func wanted(ctx context.Context, profile string) (wishes, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return wishes{}, usageError("fix it or unset it", "AWS configuration: %v", err)
	}
	w := wishes{profile: profile}
	for _, name := range []string{env.SharedConfigProfile, config.DefaultSharedConfigProfile} {
		if profile == "" {
			profile = name
		}
	}
	// A profile that cannot be read asks for nothing.
	shared, _ := sharedProfile(ctx, profile)
	w.variant = variantOf([]any{env, shared})
	// A profile that is for clients of ours is nobody's, and keys come before it.
	if w.profile == "" && !env.Credentials.HasKeys() && !ownProcess.MatchString(shared.CredentialProcess) {
		w.profile = env.SharedConfigProfile
	}
	return w, nil
}

// sharedProfile is a profile as AWS's files have it.
func sharedProfile(ctx context.Context, name string) (config.SharedConfig, error) {
	return config.LoadSharedConfigProfile(ctx, name, func(o *config.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles = []string{awsConfigFile()}, []string{awsCredentialsFile()}
	})
}

// settleEndpoint makes the endpoint what AWS's settings ask for, unless one was
// given, and returns DynamoDB's name there.
func (o *connectOptions) settleEndpoint(settings *awsSettings) string {
	region := settings.regions[0]
	if o.endpoint == "" {
		o.endpoint = variantOf(settings.config.ConfigSources).name(region)
	}
	if o.endpoint != "" {
		return o.endpoint
	}
	host, _ := endpoint.Host(endpoint.DynamoDB, region, false, false) // the region is known
	return host
}

// name is the endpoint in a region, "" where the standard one will do.
func (v variant) name(region string) string {
	if v == (variant{}) {
		return ""
	}
	host, _ := endpoint.Host(endpoint.DynamoDB, region, v.fips, v.dualStack) // the region is known
	return host
}

// String names the settings, for messages.
func (v variant) String() string {
	var names []string
	if v.fips {
		names = append(names, "AWS_USE_FIPS_ENDPOINT")
	}
	if v.dualStack {
		names = append(names, "AWS_USE_DUALSTACK_ENDPOINT")
	}
	return strings.Join(names, " and ")
}

// isServedBy reports whether a session's endpoint is what v asks for.
func (v variant) isServedBy(host string) bool {
	ep, err := endpoint.Parse(host)
	if err != nil {
		return v == (variant{})
	}
	// GovCloud's plain names are FIPS endpoints.
	plain, _ := endpoint.Host(endpoint.DynamoDB, ep.Region, true, ep.DualStack)
	return (!v.fips || ep.FIPS || plain == ep.Host) && (!v.dualStack || ep.DualStack)
}

// serves refuses a session that would send a client elsewhere than its settings
// ask for, since those settings are switched off for it.
func (s sessionInfo) serves(v variant) error {
	if v.isServedBy(s.Endpoint) {
		return nil
	}
	return usageError("start it with that setting, or with --endpoint "+v.name(s.Region)+"; or unset it here",
		"%s is set (or its like in the profile), and the session at %s sends requests to %s", v, s.URL, s.Endpoint)
}

// noNameHint is what to do where a session's endpoint has no address.
func noNameHint(host string) string {
	if ep, err := endpoint.Parse(host); err != nil || !ep.FIPS && !ep.DualStack {
		return "is --region the bastion's? DNS there may also be down"
	}
	return "not every region has such an endpoint: unset AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT if you need none"
}
