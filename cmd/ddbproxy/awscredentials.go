package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"

	"github.com/ddbproxy/ddbproxy/proxy"
	"github.com/ddbproxy/ddbproxy/tunnel"
)

// askForMFA asks for the code of a device, when a role is assumed that wants one:
// at the start, and each time its session has ended (an hour, or the profile's
// duration_seconds). Later it asks only where somebody has this terminal before
// them. There is one question at a time, so that whoever makes requests cannot
// flood it.
func (o *connectOptions) askForMFA(ctx context.Context, prompter tunnel.Prompter, device string) (string, error) {
	if prompter == nil || o.up.Load() && !o.stays {
		return "", errors.New("an MFA code is needed; start ddbproxy connect again on a terminal")
	}
	question := "MFA code for " + device + ": "
	if o.up.Load() {
		question = "\n" + question // there may be a line of the log
	}
	o.asking.Store(true)
	defer o.asking.Store(false)
	code, err := prompter.Ask(ctx, question, false)
	return strings.TrimSpace(code), err
}

// explained words the provider's errors for a laptop.
type explained struct {
	aws.CredentialsProvider
	o *connectOptions
}

func (p explained) Retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := p.CredentialsProvider.Retrieve(ctx)
	var process *processcreds.ProviderError
	switch {
	case err == nil && strings.HasPrefix(creds.AccessKeyID, proxy.SessionKeyPrefix):
		// The shell did eval "$(ddbproxy env)" for another session.
		return aws.Credentials{}, errors.New("AWS_ACCESS_KEY_ID is the key of a ddbproxy session, which AWS does not know; unset it, or start ddbproxy in another shell")
	case errors.As(err, &process):
		// The SDK's text has all that the process printed, keys included.
		return creds, errors.New("the credential_process of the profile failed, or printed something that is not its JSON; run it by hand to see")
	case errors.Is(err, context.DeadlineExceeded) && p.o.asking.Load():
		return creds, errors.New("ddbproxy connect waits for an MFA code on its terminal")
	case err != nil && strings.Contains(err.Error(), "EC2 IMDS"):
		// Where the SDK's search ends: here is no instance, or one without a role.
		return creds, errors.New("none found in the environment, ~/.aws/credentials or ~/.aws/config; run aws configure, or name a profile with --profile")
	}
	return creds, err
}

// leastSecret is how long a caller's own secret has to be. AWS's have 40
// characters; those that GUIs for DynamoDB Local come with are words.
const leastSecret = 16

// callerKey is the access key of a profile, for callers that keep one.
func callerKey(ctx context.Context, profile string) (proxy.Key, error) {
	shared, err := sharedProfile(ctx, profile)
	key := proxy.Key{ID: shared.Credentials.AccessKeyID, Secret: shared.Credentials.SecretAccessKey}
	var none config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &none):
		return key, usageError("put aws_access_key_id and aws_secret_access_key of the tool under ["+profile+"] into ~/.aws/credentials", "--caller-profile: there is no AWS profile %q", profile)
	case err != nil:
		return key, usageError("fix it", "--caller-profile: AWS configuration: %v", err)
	case key.ID == "" || key.Secret == "":
		return key, usageError("it needs aws_access_key_id and aws_secret_access_key, those of the tool", "--caller-profile: the profile %s has no access key", profile)
	case len(key.Secret) < leastSecret:
		return key, usageError(fmt.Sprintf("give the tool one of %d characters or more, such as openssl rand -hex 20 makes", leastSecret), "--caller-profile: the secret of profile %s can be guessed", profile)
	case shared.Credentials.SessionToken != "":
		return key, usageError("a profile with that key is for --profile, where callers may sign with it", "--caller-profile: the key of profile %s is a temporary one of AWS", profile)
	case strings.HasPrefix(key.ID, proxy.SessionKeyPrefix):
		return key, usageError("give the tool another name for its key", "--caller-profile: access keys that begin with %s are those of sessions", proxy.SessionKeyPrefix)
	}
	return key, nil
}

// whose describes credentials by the parts that are no secret.
func whose(c aws.Credentials) string {
	text := c.AccessKeyID
	if c.CanExpire {
		text += fmt.Sprintf(", valid until %s", c.Expires.Local().Format("15:04"))
	}
	return text
}
