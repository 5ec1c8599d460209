package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newEnv(_ *console) *cobra.Command {
	var port, format, profile string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print what points AWS tools at the running session, for a shell",
		Long: `Prints commands that set the endpoint of the session that is running and its
key, which is worth nothing beyond this machine. With them, AWS tools that know
AWS_ENDPOINT_URL_DYNAMODB need no --endpoint-url: AWS CLI from 2.13 and 1.29,
boto3, and the SDKs for JavaScript 3 and Go 2. Older ones need the option too.

--format says for what:

  sh          bash, zsh, dash, ksh and other shells of their family (these names
              are taken too)
  fish        fish
  powershell  PowerShell, also as pwsh
  cmd         Windows' cmd.exe
  dotenv      a file of NAME=VALUE, for docker --env-file and its like
  json        an object; null is what should not be set

It is sh unless told otherwise, on Windows powershell where SHELL is not set, so
that a script gets the same whoever runs it. DDBPROXY_FORMAT=fish makes fish the
default of a person.`,
		Example: `  eval "$(ddbproxy env)"
  aws dynamodb list-tables

  eval "$(ddbproxy env --profile prod)"
  ddbproxy env --format fish | source
  ddbproxy env --format powershell | Out-String | Invoke-Expression
  for /f "delims=" %i in ('ddbproxy env --format cmd') do @%i
  ddbproxy env --format dotenv >.env.ddbproxy
  ddbproxy env --format json | jq -r .AWS_ENDPOINT_URL_DYNAMODB`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && formatNamed(args[0]) != nil {
				return usageError("did you mean --format "+args[0]+"?", "%s takes no argument, and got %q", cmd.CommandPath(), args[0])
			}
			return noArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			write := formatNamed(format)
			if write == nil {
				return usageError("ddbproxy env --help tells them apart", "--format %s: not %s", format, strings.Join(formatNames, ", "))
			}
			w, err := wanted(cmd.Context(), firstOf(profile))
			if err != nil {
				return err
			}
			s, err := running(cmd.Context(), port, w.profile)
			if err != nil {
				return err
			}
			if err := s.serves(w.variant); err != nil {
				return err
			}
			text, err := write(s.endpointEnv())
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write([]byte(text))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&port, "local-port", "", "the session's local `port`, where several are running")
	profileFlag(f, &profile)
	f.StringVar(&format, "format", defaultFormat(), "what to print for: sh, fish, powershell, cmd, dotenv or json")
	return cmd
}

// profileFlag chooses among the profiles of a running session.
func profileFlag(f *pflag.FlagSet, profile *string) {
	f.StringVar(profile, "profile", "", "AWS `profile` to act for, where the session has several (default: its first)")
}

// firstOf is the one profile that is meant where DDBPROXY_PROFILE is the list for
// connect.
func firstOf(profiles string) string {
	first, _, _ := strings.Cut(profiles, ",")
	return first
}

// variable is one of the environment.
type variable struct{ name, value string }

// endpointEnv points AWS tools at the session's endpoint. What is unset would
// lead them past it; with AWS_PROFILE, the SDK for JavaScript 3 does not look at
// keys in the environment. SDKs refuse a custom endpoint with FIPS or dual stack,
// which the default profile may ask for too: false overrules it.
func (s sessionInfo) endpointEnv() (set []variable, unset []string) {
	set = []variable{
		{"AWS_ENDPOINT_URL_DYNAMODB", s.URL},
		{"AWS_ENDPOINT_URL_DYNAMODB_STREAMS", s.URL},
		{"AWS_REGION", s.Region},
		{"AWS_DEFAULT_REGION", s.Region},
		{"AWS_ACCESS_KEY_ID", s.Key.ID},
		{"AWS_SECRET_ACCESS_KEY", s.Key.Secret},
		{"AWS_USE_FIPS_ENDPOINT", "false"},
		{"AWS_USE_DUALSTACK_ENDPOINT", "false"},
	}
	if s.CABundle != "" {
		set = append(set, variable{"AWS_CA_BUNDLE", s.CABundle}, variable{"NODE_EXTRA_CA_CERTS", s.CABundle}) // Node does not know the first
	}
	return set, []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"}
}

// proxyEnv has the tools' own requests pass through the session.
func (s sessionInfo) proxyEnv() (set []variable, unset []string) {
	url := s.plainURL()
	return []variable{{"HTTPS_PROXY", url}, {"https_proxy", url}, {"NO_PROXY", ""}, {"no_proxy", ""}},
		[]string{"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"}
}

// takeEnv is how a person's shell takes over what command ("ddbproxy env")
// prints.
func takeEnv(command string) string {
	switch shell := filepath.Base(os.Getenv("SHELL")); {
	case shell == "fish":
		return command + " --format fish | source"
	case shell == "pwsh" || defaultFormat() == "powershell":
		if strings.HasPrefix(command, "'") {
			command = "& " + command // else it would be a string
		}
		return command + " --format powershell | Out-String | Invoke-Expression"
	}
	return `eval "$(` + command + `)"`
}
