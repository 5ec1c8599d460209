package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newConfig(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings of the configuration file",
		Long: `Every flag of ddbproxy connect can be written into a TOML file by its long name,
in ~/.config/ddbproxy/config.toml ($XDG_CONFIG_HOME/ddbproxy/config.toml where
that is set; ddbproxy config path tells). What stands at the top is for all
sessions; what stands in [target.NAME] is for one, which ddbproxy connect NAME
and ddbproxy exec NAME -- COMMAND open:

  region = "eu-west-1"

  [target.dev]
  bastions = ["dev@bastion-a", "dev@bastion-b"]
  profile = "dev"

  [target.prod]
  bastions = ["ops@bastion.prod.example.com"]
  profile = "prod"
  region = ["eu-central-1", "eu-west-1"]
  listen = 8001
  identity = "~/.ssh/prod"

A flag goes before the environment (DDBPROXY_REGION), which goes before the
target, which goes before the top. A target without bastions is for the host of
its own name; one with instance-connect needs none. A target goes before a Host
of ssh's configuration: USER@NAME is never a target. Names of files count from
the directory of the configuration.

--config, or DDBPROXY_CONFIG, names another file.`,
		Example: `  ddbproxy config show
  ddbproxy config show dev
  ddbproxy config path`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "ddbproxy config show, or ddbproxy config path"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean ddbproxy config " + near[0] + "?"
			}
			return usageError(hint, "unknown command %q for ddbproxy config", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newConfigShow(c), newConfigPath(c))
	return cmd
}

func newConfigShow(c *console) *cobra.Command {
	o := &connectOptions{}
	cmd := &cobra.Command{
		Use:   "show [TARGET]",
		Short: "Print the settings of connect, and where each comes from",
		Long: `Prints what ddbproxy connect would use, without a target or with one, in the
form of the file. Behind each setting is where it comes from: a flag, a variable
of the environment, a line of the file, or nowhere (default). It takes the flags
of connect, and exits with 2 if connect would refuse them.`,
		Example: `  ddbproxy config show
  ddbproxy config show dev
  ddbproxy config show dev --region us-east-1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readConfig(o.config)
			if err != nil {
				return err
			}
			targets := slices.Sorted(maps.Keys(f.targets))
			if len(args) > 1 {
				return usageError("ddbproxy config show dev", "config show takes one target, and got %d", len(args))
			}
			for _, name := range args {
				if f.targets[name] == nil {
					hint := "there are " + strings.Join(targets, ", ")
					if near := nearest(name, targets); near != "" {
						hint = "did you mean " + near + "?"
					} else if len(targets) == 0 {
						hint = "write [target." + name + "] into it, and settings below"
					}
					return usageError(hint, "there is no target %q in %s", name, f.name)
				}
			}
			bastions, err := fromFile(c, cmd, args)
			if err != nil {
				return err
			}
			var b strings.Builder
			if len(args) == 0 && len(targets) > 0 {
				fmt.Fprintf(&b, "# targets: %s\n", strings.Join(targets, ", "))
			}
			if len(bastions) > 0 {
				showSetting(&b, bastionsKey, bastions, f.place("target", args[0], bastionsKey))
			}
			cmd.Flags().VisitAll(func(flag *pflag.Flag) {
				if !settable(flag) {
					return
				}
				origin := "default"
				if from := flag.Annotations[originKey]; len(from) > 0 {
					origin = from[0]
				} else if flag.Changed {
					origin = "flag"
				}
				showSetting(&b, flag.Name, settingOf(flag), origin)
			})
			if _, err := cmd.OutOrStdout().Write([]byte(b.String())); err != nil {
				return err
			}
			return o.check()
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

// settingOf is a flag's value as a file would have it.
func settingOf(flag *pflag.Flag) any {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	switch text := flag.Value.String(); flag.Value.Type() {
	case "bool":
		return text == "true"
	default:
		return text
	}
}

func showSetting(b *strings.Builder, name string, value any, origin string) {
	line, err := toml.Marshal(map[string]any{name: value})
	if err != nil {
		line = []byte(err.Error())
	}
	fmt.Fprintf(b, "%-40s # %s\n", strings.TrimSpace(string(line)), origin)
}

func newConfigPath(c *console) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "path",
		Short:   "Print where the configuration file is, or would be",
		Example: `  $EDITOR "$(ddbproxy config path)"`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				var err error
				if file, err = configPath(); err != nil {
					return usageError("name it: --config, or DDBPROXY_CONFIG", "configuration: %v", err)
				}
			}
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				c.say("ddbproxy: there is no such file yet")
			}
			c.tell("%s", file)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", configUsage)
	return cmd
}
