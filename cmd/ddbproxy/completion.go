package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion {bash | zsh | fish | powershell}",
		Short: "Print a script that makes a shell complete ddbproxy's arguments",
		Long: `Prints a script for a shell, with which the Tab key completes commands, flags
and what they take: the Hosts of ~/.ssh/config, the profiles of ~/.aws, regions,
carriers, and the ports of sessions that run.

bash with its package bash-completion, for this shell and for all to come:

  source <(ddbproxy completion bash)
  ddbproxy completion bash >~/.local/share/bash-completion/completions/ddbproxy

zsh, where compinit has run (autoload -U compinit; compinit in ~/.zshrc):

  source <(ddbproxy completion zsh)
  ddbproxy completion zsh >"${fpath[1]}/_ddbproxy"

fish:

  ddbproxy completion fish | source
  ddbproxy completion fish >~/.config/fish/completions/ddbproxy.fish

PowerShell, the second for all to come:

  ddbproxy completion powershell | Out-String | Invoke-Expression
  ddbproxy completion powershell >>$PROFILE`,
		Example: `  source <(ddbproxy completion bash)
  ddbproxy connect bas<Tab>`,
		ValidArgs:             shells,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("ddbproxy completion bash, for one; --help has them all", "completion takes the name of one shell")
			}
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell", "pwsh":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usageError(fmt.Sprintf("there is %s", strings.Join(shells, ", ")), "there is no completion for %q", args[0])
		},
	}
}
