package doctor

import (
	"cmp"
	"runtime"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
)

// denied are the codes by which AWS's services say that policies do not allow a
// call.
func denied(code string) bool {
	switch code {
	case "AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "AuthorizationError":
		return true
	}
	return false
}

// refused tells what a refusal of the credentials themselves means and what mends
// it (AWS's "Common errors", and what DynamoDB and STS call them). ok is false for
// other codes.
func (f *Facts) refused(code, profile string) (meaning, remedy string, ok bool) {
	of := option(profile)
	switch code {
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure":
		return "AWS does not know this access key: it was deleted or made inactive, or is of another partition.", cmp.Or(f.renewal(profile), "aws configure"+of), true
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired":
		return "The temporary credentials have expired.", cmp.Or(f.renewal(profile), `renew them where "aws configure list`+of+`" says that they come from`), true
	case "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignatureException":
		return "The secret is not the one of this access key, or the clock is off.", cmp.Or(f.renewal(profile), "aws configure"+of), true
	case "MissingAuthenticationTokenException", "MissingAuthenticationToken":
		return "The call arrived without a signature: something on the way takes it out.", "unset HTTPS_PROXY, or have the proxy's owner let AWS pass", true
	}
	return "", "", false
}

// renewal is how credentials are renewed that are not written into AWS's files by
// hand; "" for those. Keys in the environment come before what a login gives.
func (f *Facts) renewal(profile string) string {
	var shared config.SharedConfig
	for _, source := range f.Config.ConfigSources {
		if s, ok := source.(config.SharedConfig); ok {
			shared = s
		}
	}
	for shared.Source != nil { // whose credentials take on the role
		shared = *shared.Source
	}
	switch {
	case f.source == config.CredentialsSourceName, f.source == "" && shared.CredentialSource == "Environment":
		return "unset or renew AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in this shell"
	case strings.HasPrefix(f.source, "SharedConfigCredentials"): // which the SDK takes before SSO
		return ""
	case shared.SSOSessionName != "" || shared.SSOStartURL != "":
		return "aws sso login" + option(profile)
	}
	return ""
}

// option names a profile to the AWS CLI.
func option(profile string) string {
	if profile == "" {
		return ""
	}
	return " --profile " + profile
}

// setClock is the command that sets this machine's clock.
func setClock() string {
	return cmp.Or(map[string]string{
		"darwin":  "sudo sntp -sS time.apple.com",
		"windows": "w32tm /resync",
	}[runtime.GOOS], "sudo timedatectl set-ntp true")
}

// firstLine is a text up to its first newline.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
