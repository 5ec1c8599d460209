package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newService(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Have the system keep a session up from login on",
		Long: `Writes a unit for systemd's user manager, or an agent for launchd on macOS, that
runs ddbproxy connect from login on and starts it again when it fails. Nothing
is started unless --now is given; without it you are told what to type.

The service has the environment of the user manager, not that of a shell, and
nobody to ask: let it have a profile, a region, and a key that needs no
passphrase or is in an agent (IdentityAgent in ~/.ssh/config). Log in once with
ddbproxy connect first, so that the host key is known.`,
		Example: `  ddbproxy service install prod
  ddbproxy service install dev@bastion --profile dev --region eu-west-1 --now
  ddbproxy service uninstall prod --now`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := "ddbproxy service install, or ddbproxy service uninstall"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean ddbproxy service " + near[0] + "?"
			}
			return usageError(hint, "unknown command %q for ddbproxy service", args[0])
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newServiceInstall(c), newServiceUninstall(c))
	return cmd
}

func newServiceInstall(c *console) *cobra.Command {
	o := &connectOptions{}
	var now, printed bool
	cmd := &cobra.Command{
		Use:   "install {HOST... | TARGET | --instance-connect ID}",
		Short: "Write a service that runs ddbproxy connect",
		Long: `Writes a service with the arguments and flags that ddbproxy connect would have,
and tells how it is started. DDBPROXY_ variables that are set now become flags
of it; what a TARGET says is read each time it starts. No key is written.

On Linux, loginctl enable-linger keeps it up without a login.`,
		Example: `  ddbproxy service install prod
  ddbproxy service install prod --print
  ddbproxy service install dev@bastion --profile dev --region eu-west-1 --now`,
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			bastions, err := fromFile(c, cmd, args)
			if err != nil {
				return err
			}
			if err := o.target(bastions); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return err
			}
			program, err := ownPath()
			if err != nil {
				return err
			}
			flags, err := serviceFlags(cmd.Flags())
			if err != nil {
				return err
			}
			s, err := newUserService(slices.Concat(args, []string{o.instance.id})[0])
			if err != nil {
				return err
			}
			for _, a := range args {
				if strings.HasPrefix(a, "-") {
					return usageError("rename the target", "%q would be taken for a flag", a)
				}
			}
			command := slices.Concat([]string{program, "connect"}, args, flags)
			for _, word := range command {
				if i := strings.IndexFunc(word, unicode.IsControl); i >= 0 || !utf8.ValidString(word) {
					return usageError("leave it out", "%q has a character that no service can have in its command", word)
				}
			}
			text := s.text(command)
			if printed {
				_, err := cmd.OutOrStdout().Write([]byte(text))
				return err
			}
			if err := s.write(text); err != nil {
				return err
			}
			c.say("ddbproxy: wrote %s", s.file)
			if left := shellOnly(); len(left) > 0 {
				c.say("ddbproxy: it will not have %s of this shell", strings.Join(left, ", "))
			}
			return s.do(cmd.Context(), c, now, "it starts with", s.start)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().BoolVar(&now, "now", false, "start it, too")
	cmd.Flags().BoolVar(&printed, "print", false, "print it, and write nothing")
	return cmd
}

func newServiceUninstall(c *console) *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:   "uninstall {[USER@]HOST[:PORT] | TARGET | INSTANCE}",
		Short: "Remove a service that install wrote",
		Long: `Removes the service of a bastion or a target, by the name that install was given
first. It ends when you log out, or at once with --now.`,
		Example: `  ddbproxy service uninstall prod
  ddbproxy service uninstall dev@bastion --now`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("ddbproxy service uninstall prod", "service uninstall takes the name of one service, and got %d", len(args))
			}
			s, err := newUserService(args[0])
			if err != nil {
				return err
			}
			old, err := os.ReadFile(s.file)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return &exitError{exitFailed, fmt.Errorf("there is no service for %s: no %s", args[0], s.file), "name it as it was named to service install"}
			case err != nil:
				return err
			case !bytes.Contains(old, []byte(unitMark)):
				return s.foreign()
			}
			if now { // while the manager still knows it
				if err := s.do(cmd.Context(), c, now, "", s.stop); err != nil {
					return err
				}
			}
			for _, name := range []string{s.file, s.enabled} {
				if err := os.Remove(name); name != "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			c.say("ddbproxy: removed %s", s.file)
			if now {
				return s.do(cmd.Context(), c, now, "", s.reload)
			}
			return s.do(cmd.Context(), c, now, "if it runs, it ends with", s.stop)
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "end it, too")
	return cmd
}

// serviceFlags are the flags to start a service with: those that were typed, and
// those of the environment, which it will not have.
func serviceFlags(flags *pflag.FlagSet) (args []string, err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		from := f.Annotations[originKey]
		typed := f.Changed && (len(from) == 0 || strings.HasPrefix(from[0], "DDBPROXY_"))
		if !typed || f.Hidden || f.Name == "now" || f.Name == "print" || err != nil {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			if kind, _ := pflag.UnquoteUsage(f); kind == "file" && v != "" && v[0] != '~' {
				if v, err = filepath.Abs(v); err != nil {
					return
				}
			}
			if strings.ContainsAny(v, ",\"") && f.Value.Type() == "stringSlice" { // which is CSV
				v = `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
			}
			args = append(args, "--"+f.Name+"="+v)
		}
	})
	return args, err
}

// shellOnly are variables of this shell that a session may need.
func shellOnly() (names []string) {
	for _, name := range []string{"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_CA_BUNDLE", "SSH_AUTH_SOCK"} {
		if os.Getenv(name) != "" {
			names = append(names, name)
		}
	}
	return names
}

// userService is a service of the user's own manager.
type userService struct {
	file                string
	enabled             string // systemd's link to the file
	text                func(command []string) string
	start, stop, reload [][]string // commands
}

// notInNames are the characters that names of units are kept free of.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// newUserService is that of a bastion or target on this system.
func newUserService(of string) (*userService, error) {
	name := strings.Trim(notInNames.ReplaceAllString(of, "-"), "-.")
	if name == "" {
		return nil, usageError("name a bastion or a target", "%q makes no name for a service", of)
	}
	switch runtime.GOOS {
	case "linux":
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(dir, "systemd", "user")
		unit := "ddbproxy-" + name + ".service"
		ctl := func(args ...string) []string { return append([]string{"systemctl", "--user"}, args...) }
		return &userService{
			file: filepath.Join(dir, unit), enabled: filepath.Join(dir, "default.target.wants", unit),
			text:   func(command []string) string { return systemdUnit(name, command) },
			start:  [][]string{ctl("daemon-reload"), ctl("enable", unit), ctl("restart", unit)},
			stop:   [][]string{ctl("stop", unit)},
			reload: [][]string{ctl("daemon-reload")},
		}, nil
	case "darwin":
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		label := "io.github.ddbproxy." + name
		file := filepath.Join(home, "Library", "LaunchAgents", label+".plist")
		domain := fmt.Sprintf("gui/%d", os.Getuid())
		return &userService{
			file: file,
			text: func(command []string) string {
				return launchdPlist(label, filepath.Join(home, "Library", "Logs", "ddbproxy-"+name+".log"), command)
			},
			start: [][]string{{"launchctl", "bootstrap", domain, file}},
			stop:  [][]string{{"launchctl", "bootout", domain + "/" + label}},
		}, nil
	}
	return nil, usageError("have the system run ddbproxy connect at login; on Windows, the Task Scheduler does",
		"services are for systemd and launchd, and this is %s", runtime.GOOS)
}

// write puts the file in its place, unless there is one that is not ours.
func (s *userService) write(text string) error {
	old, err := readOrNone(s.file)
	switch {
	case err != nil:
		return err
	case len(old) > 0 && !bytes.Contains(old, []byte(unitMark)):
		return s.foreign()
	}
	return replaceFile(s.file, []byte(text))
}

func (s *userService) foreign() error {
	return &exitError{exitFailed, fmt.Errorf("%s was not written by ddbproxy; nothing was changed", s.file), "remove it yourself, if you want it gone"}
}

// do runs commands, or says them.
func (s *userService) do(ctx context.Context, c *console, now bool, what string, commands [][]string) error {
	if !now {
		var lines []string
		for _, command := range commands {
			lines = append(lines, strings.Join(command, " "))
		}
		c.say("ddbproxy: %s\n\n  %s", what, strings.Join(lines, " &&\n  "))
		return nil
	}
	for _, command := range commands {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
		if err != nil {
			return &exitError{exitFailed, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, bytes.TrimSpace(out)), "leave --now out, and do this by hand where you are logged in"}
		}
	}
	return nil
}
