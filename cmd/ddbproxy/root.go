package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ddbproxy/ddbproxy/internal/version"
	"github.com/ddbproxy/ddbproxy/tunnel"
)

// Exit codes, as "ddbproxy help exit-codes" tells them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitHostKey     = 4
	exitLogin       = 5
	exitRelay       = 6
	exitPort        = 7
	exitEndpoint    = 8
	exitInterrupted = 130
)

const exitCodes = `ddbproxy exits with

    0  it was asked to end (Ctrl-C, SIGTERM) and has drained
    1  something failed that has no code of its own
    2  the command line, the environment or a configuration file is wrong
    3  the bastion cannot be reached
    4  the bastion's host key is unknown, changed or revoked
    5  the bastion refused the login
    6  no relay could be started on the bastion
    7  the local port is in use
    8  DynamoDB's endpoint has no address on the bastion, or its certificate
       is not trusted
  130  it was interrupted before it was connected, or a second Ctrl-C cut the
       draining short
`

// exitError carries an exit code with an error.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

func usageError(hint, format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...), hint}
}

// run is the program: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &console{in: stdin, out: stdout, err: stderr}
	ctx, hurry, stop := signals()
	defer stop()
	c.hurry = hurry

	root := newRoot(c)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var exit *exitError
	if errors.As(err, &exit) && exit.err == nil { // of a command that said why
		return exit.code
	}
	switch {
	case hurry.Err() != nil:
		return exitInterrupted
	case err == nil:
		return 0
	}
	code, hint := describe(err)
	if place := originOf(cmd.Flags(), err); place != "" {
		err = fmt.Errorf("%s: %w", place, err)
	}
	for line := range strings.SplitSeq(err.Error(), "\n") { // one for each bastion
		fmt.Fprintf(stderr, "ddbproxy: %s\n", line)
	}
	if hint != "" {
		fmt.Fprintf(stderr, "ddbproxy: hint: %s\n", hint)
	}
	return code
}

// signals gives a context that ends with the first signal, which asks us to end
// in good order, and one that ends with the second, which does not want to wait.
func signals() (ctx, hurry context.Context, stop func()) {
	ctx, first := context.WithCancelCause(context.Background())
	hurry, second := context.WithCancelCause(context.Background())
	// A reader of our output that left ends a write, not us: there is cleaning up
	// to do. Ignored, it would be so in the commands of exec too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, heeded(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)...)
	done := make(chan struct{})
	go func() {
		for _, cancel := range []context.CancelCauseFunc{first, second} {
			select {
			case <-caught:
				cancel(errInterrupted)
			case <-done:
				return
			}
		}
		signal.Stop(caught) // a third one has its usual effect
	}()
	return ctx, hurry, func() {
		signal.Stop(caught)
		close(done)
	}
}

// heeded are those signals that we were not started to ignore, as by nohup.
func heeded(signals ...os.Signal) []os.Signal {
	return slices.DeleteFunc(signals, signal.Ignored)
}

// orderly are the commands that end by themselves when they are interrupted.
var orderly = []string{"connect", "exec", "demo", "doctor", "status", "wait", "logs", "disconnect"}

// interruptible has every other command end at once: it may be reading what never
// ends.
func interruptible(cmd *cobra.Command) {
	if !slices.Contains(orderly, cmd.Name()) {
		context.AfterFunc(cmd.Context(), func() { os.Exit(exitInterrupted) })
	}
}

// describe finds the exit code of an error, and a hint that is not in its text.
func describe(err error) (code int, hint string) {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code, exit.hint
	}
	var t *tunnel.Error
	if errors.As(err, &t) {
		return map[tunnel.Kind]int{
			tunnel.KindConfig:      exitUsage,
			tunnel.KindUnreachable: exitUnreachable,
			tunnel.KindHostKey:     exitHostKey,
			tunnel.KindAuth:        exitLogin,
			tunnel.KindRelay:       exitRelay,
		}[t.Kind], ""
	}
	return exitFailed, ""
}

func newRoot(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:     "ddbproxy",
		Version: version.String(),
		Short:   "A local endpoint for a DynamoDB that only a bastion can reach",
		Long: `ddbproxy gives this machine a local HTTP endpoint for DynamoDB and carries the
requests over ssh to a bastion, from where they go through the VPC endpoint.
Keys stay here, TLS runs from here to AWS, and the bastion sees ciphertext only.

  ddbproxy connect dev@bastion
  aws dynamodb list-tables --endpoint-url http://localhost:8000

Try it without an AWS account: ddbproxy demo`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs, // unknown ones are named in RunE
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := "see ddbproxy --help"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean ddbproxy " + cmp.Or(nearest(args[0], near), near[0]) + "?"
			} else if strings.Contains(args[0], "@") {
				hint = "did you mean ddbproxy connect " + args[0] + "?"
			}
			return usageError(hint, "unknown command %q", args[0])
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			interruptible(cmd)
			return fromEnvironment(cmd.Flags())
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetUsageFunc(usage)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if strings.Contains(err.Error(), "in -p") { // ssh's habit
			return usageError("give the port as HOST:PORT", "%v", err)
		}
		return usageError("see "+cmd.CommandPath()+" --help", "%v", err)
	})
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",

		ValidArgsFunction: completeCommands,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageError("see ddbproxy --help", "there is no command %q", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	})
	root.AddCommand(newConnect(c), newExec(c), newStatus(), newDoctor(c), newWait(), newLogs(), newDisconnect(c), newEnv(c), newCredentials(), newConfigure(c), newConfig(c), newService(c), newBastion(), newPolicy(), newDemo(c), newCompletion(), newVersion(), &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long:  exitCodes,
	})
	addCompletions(root)
	return root
}

// fromEnvironment sets each flag that was not given from DDBPROXY_ and its name
// in capitals, dashes as underscores: DDBPROXY_CA_BUNDLE for --ca-bundle.
func fromEnvironment(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "DDBPROXY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		if value == "" || f.Changed || err != nil || f.Name == "help" || f.Name == "version" {
			return
		}
		if serr := flags.Set(f.Name, value); serr != nil {
			err = usageError("unset it or fix it", "%s=%s: %v", name, value, serr)
		}
		_ = flags.SetAnnotation(f.Name, originKey, []string{name}) // the flag is there
	})
	return err
}

// flagBlamed is the flag that an error begins with.
var flagBlamed = regexp.MustCompile(`^--([a-z-]+) `)

// originOf tells where the value of the flag comes from that an error begins
// with, "" if it was typed.
func originOf(flags *pflag.FlagSet, err error) string {
	m := flagBlamed.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	if f := flags.Lookup(m[1]); f != nil && len(f.Annotations[originKey]) > 0 {
		return f.Annotations[originKey][0]
	}
	return ""
}

// noArgs says in a sentence what cobra's check says in jargon.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("see "+cmd.CommandPath()+" --help", "%s takes no argument, and got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
