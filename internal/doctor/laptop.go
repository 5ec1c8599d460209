package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// Machine is this machine as the checks of the laptop see it. What the program has
// looked at itself before is given as a function.
type Machine struct {
	// Configuration is about ddbproxy's own file and flags.
	Configuration func(ctx context.Context, f *Facts) Finding
	// Settings reads AWS's configuration, and fills in Config, Region and Endpoint.
	Settings func(ctx context.Context, f *Facts) Finding
	// Whose describes credentials by what is no secret in them.
	Whose func(aws.Credentials) string
	// Port looks whether the local port is free, or a session's of this user.
	Port func(ctx context.Context, f *Facts) Finding

	Profile string // that was named, "" for none
	Tools   Tools  // the AWS tools of this shell
	Now     func() time.Time
}

// The IDs of checks that others need.
const (
	idConfiguration = "laptop.configuration"
	idSettings      = "laptop.settings"
	idCredentials   = "laptop.credentials"
)

// credentialsTimeout leaves a person time for an MFA code.
const credentialsTimeout = time.Minute

// Checks are those of the laptop.
func (m *Machine) Checks() []Check {
	return append([]Check{
		{ID: idConfiguration, Section: Laptop, Title: "configuration", Run: m.Configuration},
		{ID: idSettings, Section: Laptop, Title: "AWS settings", Needs: []string{idConfiguration}, Run: m.Settings},
		{ID: "laptop.clock", Section: Laptop, Title: "clock", Needs: []string{idSettings}, Run: m.clock},
		{ID: idCredentials, Section: Laptop, Title: "credentials", Needs: []string{idSettings}, Timeout: credentialsTimeout, Run: m.credentials},
		{ID: "laptop.identity", Section: Laptop, Title: "identity", Needs: []string{idCredentials}, Run: m.identity},
		{ID: "laptop.port", Section: Laptop, Title: "local port", Needs: []string{idConfiguration}, Run: m.Port},
	}, m.Tools.checks()...)
}

// skewAllowed is how far a signature's date may be from AWS's time (IAM User Guide,
// "Signing AWS API requests").
const skewAllowed = 5 * time.Minute

// clock compares with the Date of an answer that needs no signature.
func (m *Machine) clock(ctx context.Context, f *Facts) Finding {
	host, err := endpoint.Host(endpoint.DynamoDB, f.Region, false, false)
	if err != nil {
		return Skip("%v", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", nil)
	if err != nil {
		return Skip("%v", err)
	}
	resp, err := f.Config.HTTPClient.Do(r)
	if err != nil {
		return Skip("%s is not reached from here, so there is no time to compare with: %v", host, cause(err))
	}
	resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return Skip("the answer of %s has no date", host)
	}
	skew := m.Now().Sub(date).Round(time.Second)
	how := fmt.Sprintf("%v ahead of AWS", skew)
	if skew < 0 {
		how = fmt.Sprintf("%v behind AWS", -skew)
	}
	switch {
	case skew.Abs() > skewAllowed:
		return Bad(how, "AWS refuses what is signed by a clock that is more than 5 minutes off. ddbproxy goes by AWS's time; other tools do not.", setClock())
	case skew.Abs() <= 2*time.Second: // the header's grain, and the way here
		return Well("as AWS's")
	}
	return Well("%s", how)
}

func (m *Machine) credentials(ctx context.Context, f *Facts) Finding {
	creds, err := f.Config.Credentials.Retrieve(ctx)
	if err != nil {
		_, remedy, known := f.refused(codeOf(err), m.Profile)
		if !known {
			remedy = cmp.Or(f.renewal(m.Profile), "aws configure"+option(m.Profile))
		}
		return Bad(err.Error(), "Nothing can be signed.", remedy)
	}
	f.AccessKeyID, f.source = creds.AccessKeyID, creds.Source
	return Well("%s", m.Whose(creds))
}

func (m *Machine) identity(ctx context.Context, f *Facts) Finding {
	client := sts.NewFromConfig(f.Config, func(o *sts.Options) {
		o.Region, o.RetryMaxAttempts = f.Region, 2
		if url := f.urlOf("AWS_ENDPOINT_URL_STS"); url != nil {
			o.BaseEndpoint = url
		}
	})
	who, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err == nil {
		f.Account, f.Identity = aws.ToString(who.Account), aws.ToString(who.Arn)
		return Well("%s", f.Identity)
	}
	code := codeOf(err)
	if code == "" {
		return Skip("STS is not reached from here: %v", cause(err))
	}
	meaning, remedy, known := f.refused(code, m.Profile)
	if !known {
		return Skip("STS answers %s", firstLine(said(err)))
	}
	return Bad(said(err), meaning, remedy)
}
