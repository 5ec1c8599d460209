package doctor

import (
	"cmp"
	"runtime"
	"strings"
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
func refused(code, profile string) (meaning, remedy string, ok bool) {
	of := ""
	if profile != "" {
		of = " --profile " + profile
	}
	switch code {
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure":
		return "AWS does not know this access key: it was deleted or made inactive, or is of another partition.", "aws configure" + of, true
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired":
		return "The temporary credentials have expired.", "aws sso login" + of, true
	case "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignatureException":
		return "The secret is not the one of this access key, or the clock is off.", "aws configure" + of, true
	case "MissingAuthenticationTokenException", "MissingAuthenticationToken":
		return "The call arrived without a signature: something on the way takes it out.", "unset HTTPS_PROXY, or have the proxy's owner let AWS pass", true
	}
	return "", "", false
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
