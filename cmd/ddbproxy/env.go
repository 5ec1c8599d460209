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
			s, err := running(cmd.Context(), port)
			if err != nil {
				return err
			}
			set, unset := s.endpointEnv()
			for _, v := range set {
				fmt.Fprintf(cmd.OutOrStdout(), "export %s=%s\n", v.name, shellQuote(v.value))
			}
			fmt.Fprintln(cmd.OutOrStdout(), "unset "+strings.Join(unset, " "))
			return nil
		},
	}
	cmd.Flags().StringVar(&port, "local-port", "", "the session's local `port`, where several are running")
	return cmd
}

// variable is one of the environment.
type variable struct{ name, value string }

// endpointEnv points AWS tools at the session's endpoint. What is unset would
// lead them past it, or make them refuse it; with AWS_PROFILE, the SDK for
// JavaScript 3 does not look at keys in the environment.
func (s sessionInfo) endpointEnv() (set []variable, unset []string) {
	return []variable{
		{"AWS_ENDPOINT_URL_DYNAMODB", s.URL},
		{"AWS_ENDPOINT_URL_DYNAMODB_STREAMS", s.URL},
		{"AWS_REGION", s.Region},
		{"AWS_DEFAULT_REGION", s.Region},
		{"AWS_ACCESS_KEY_ID", s.KeyID},
		{"AWS_SECRET_ACCESS_KEY", s.Secret},
	}, []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"}
}

// proxyEnv has the tools' own requests pass through the session.
func (s sessionInfo) proxyEnv() (set []variable, unset []string) {
	return []variable{{"HTTPS_PROXY", s.URL}, {"https_proxy", s.URL}, {"NO_PROXY", ""}, {"no_proxy", ""}},
		[]string{"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"}
}

// shellQuote makes one word of s for every shell of the Bourne family.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
