package main

import (
	"fmt"
	"strings"

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
			found, err := sessions[sessionInfo](cmd.Context(), "/session")
			if err != nil {
				return err
			}
			s, err := pick(found, port)
			if err != nil {
				return err
			}
			for _, v := range []struct{ name, value string }{
				{"AWS_ENDPOINT_URL_DYNAMODB", s.URL},
				{"AWS_ENDPOINT_URL_DYNAMODB_STREAMS", s.URL},
				{"AWS_REGION", s.Region},
				{"AWS_DEFAULT_REGION", s.Region},
				{"AWS_ACCESS_KEY_ID", s.KeyID},
				{"AWS_SECRET_ACCESS_KEY", s.Secret},
			} {
				fmt.Fprintf(cmd.OutOrStdout(), "export %s=%s\n", v.name, shellQuote(v.value))
			}
			fmt.Fprintln(cmd.OutOrStdout(), "unset AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT")
			return nil
		},
	}
	cmd.Flags().StringVar(&port, "local-port", "", "the session's local `port`, where several are running")
	return cmd
}

// shellQuote makes one word of s for every shell of the Bourne family.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
