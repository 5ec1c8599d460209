package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newEnv(_ *console) *cobra.Command {
	var port string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print shell commands that point AWS tools at the running session",
		Long: `Prints export commands with the endpoint of the session that is running and its
key, which is worth nothing beyond this machine. With them, AWS tools that know
AWS_ENDPOINT_URL_DYNAMODB need no --endpoint-url: AWS CLI from 2.13 and 1.29,
boto3, and the SDKs for JavaScript 3 and Go 2. Older ones need the option too.`,
		Example: `  eval "$(ddbproxy env)"
  aws dynamodb list-tables`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := sessions(cmd.Context())
			if err != nil {
				return err
			}
			s, err := pick(found, port)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), `export AWS_ENDPOINT_URL_DYNAMODB='%[1]s'
export AWS_ENDPOINT_URL_DYNAMODB_STREAMS='%[1]s'
export AWS_REGION='%[2]s'
export AWS_DEFAULT_REGION='%[2]s'
export AWS_ACCESS_KEY_ID='%[3]s'
export AWS_SECRET_ACCESS_KEY='%[4]s'
unset AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT
`, s.URL, s.Region, s.KeyID, s.Secret)
			return nil
		},
	}
	cmd.Flags().StringVar(&port, "port", "", "the session's local `port`, where several are running")
	return cmd
}
