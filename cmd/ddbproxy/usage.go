package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth fits a terminal of 80 columns.
const helpWidth = 78

// usage is cobra's own usage text with its flags wrapped. It is code and not a
// template: text/template calls methods by name, so the linker keeps all
// methods of all types, 3 MB of them.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n "); text != "" {
			fmt.Fprintf(&b, "\n%s:\n%s\n", title, text)
		}
	}
	var lines, commands, topics strings.Builder
	if cmd.Runnable() {
		fmt.Fprintf(&lines, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&lines, "  %s [command]\n", cmd.CommandPath())
	}
	for _, sub := range cmd.Commands() {
		switch {
		case sub.IsAvailableCommand() || sub.Name() == "help":
			fmt.Fprintf(&commands, "  %-11s %s\n", sub.Name(), sub.Short)
		case sub.IsAdditionalHelpTopicCommand():
			fmt.Fprintf(&topics, "  %-11s %s\n", sub.Name(), sub.Short)
		}
	}
	section("Usage", lines.String())
	section("Examples", cmd.Example)
	section("Commands", commands.String())
	section("Topics of help", topics.String())
	section("Flags", cmd.LocalFlags().FlagUsagesWrapped(helpWidth))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s [command] --help tells more of one.\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), strings.TrimPrefix(b.String(), "\n"))
	return err
}
