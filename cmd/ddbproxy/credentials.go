package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"
)

// credentialsLife is how soon a program that runs for long asks again, and so
// finds a session that was started since: at its end in Go, 5 minutes before in
// JavaScript, 15 before in boto3. The key itself lives as long as its session.
const credentialsLife = 20 * time.Minute

// processCredentials is what AWS tools read from a credential_process.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
type processCredentials struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Expiration      time.Time
}

func newCredentials() *cobra.Command {
	var port, profile string
	cmd := &cobra.Command{
		Use:   "credentials",
		Short: "Print the running session's key, as a credential_process",
		Long: `Prints the key of the session that is running in the form that AWS tools read
from a credential_process. ddbproxy configure writes a profile that uses it; by
hand it is

  [profile ddbproxy]
  region = eu-west-1
  credential_process = /usr/local/bin/ddbproxy credentials

in ~/.aws/config, for tools that are given http://localhost:8000 as endpoint.

The key is worth nothing beyond this machine. It is said to expire in 20 minutes
so that programs that run for long ask again, and find the key of a session that
was started anew.`,
		Example: `  ddbproxy credentials
  ddbproxy credentials --local-port 8001
  ddbproxy credentials --profile prod`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := running(cmd.Context(), port, profile)
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(processCredentials{
				Version: 1, AccessKeyID: s.Key.ID, SecretAccessKey: s.Key.Secret,
				Expiration: time.Now().UTC().Add(credentialsLife).Truncate(time.Second),
			})
		},
	}
	profileFlag(cmd.Flags(), &profile)
	cmd.Flags().StringVar(&port, "local-port", "", "the session's local `port`, where several are running")
	return cmd
}
