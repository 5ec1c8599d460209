package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// What shells exit with for a command that they cannot run.
const (
	exitNotRunnable = 126
	exitNotFound    = 127
	exitSignal      = 128 // and the signal's number
)

func newExec(c *console) *cobra.Command {
	o := &connectOptions{program: relayProgram}
	var port string
	var byProxy bool
	cmd := &cobra.Command{
		Use:   "exec [[USER@]HOST[:PORT]... | TARGET] -- COMMAND [ARG...]",
		Short: "Run one command with its DynamoDB behind a bastion",
		Long: `Runs a command whose environment points AWS tools at a session: the one that is
running for these HOSTs (the only one, without a HOST), or one that begins and
ends with the command. A TARGET stands for its bastions (see ddbproxy config).
The exit code is the command's; its signals too.

The command gets the session's endpoint, region and key. Settings that would
lead it past the endpoint are taken out: a profile, a session token, and
AWS_IGNORE_CONFIGURED_ENDPOINT_URLS. SDKs refuse an endpoint of one's own with
AWS_USE_FIPS_ENDPOINT or AWS_USE_DUALSTACK_ENDPOINT, or their like in a profile:
these are switched off, and the session does what they ask for. One that runs
and does not is refused, or with a HOST another begins.

Tools that do not know AWS_ENDPOINT_URL_DYNAMODB (AWS CLI before 2.13 or 1.29,
boto3 before 1.28, SDK for Go 1, for JavaScript 2) need --proxy: it sets
HTTPS_PROXY for all that the command does, and leaves its own AWS settings.
Then only DynamoDB is reached, and the command needs credentials of its own.`,
		Example: `  ddbproxy exec dev@bastion -- aws dynamodb list-tables
  ddbproxy exec -- python3 report.py
  ddbproxy exec prod -- python3 report.py
  ddbproxy exec bastion --proxy -- aws dynamodb list-tables`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			switch {
			case dash < 0 && len(args) > 0:
				return usageError("ddbproxy exec HOST -- COMMAND", "there is no -- before the command")
			case dash < 0 || dash == len(args):
				return usageError("ddbproxy exec dev@bastion -- aws dynamodb list-tables", "no command given")
			}
			command, err := lookPath(args[dash])
			if err != nil {
				return err
			}
			bastions, err := fromFile(c, cmd, args[:dash])
			if err != nil {
				return err
			}
			var w wishes
			if !byProxy { // else the command's own settings stay, and hold
				if w, err = wanted(cmd.Context(), o.profileNames()[0]); err != nil {
					return err
				}
			}
			info, end, err := o.session(cmd.Context(), c, bastions, port, w)
			if err != nil {
				return orTarget(cmd, args[:dash], err)
			}
			defer end()
			set, unset := info.endpointEnv()
			if byProxy {
				set, unset = info.proxyEnv()
			}
			return runChild(command, args[dash:], environment(os.Environ(), set, unset))
		},
	}
	o.flags(cmd.Flags())
	f := cmd.Flags()
	f.Lookup("listen").Usage = "local `address`es of a session that begins here (default: a free port)"
	f.StringVar(&port, "local-port", "", "the running session's local `port`, where several are running")
	f.BoolVar(&byProxy, "proxy", false, "set HTTPS_PROXY instead of the endpoint, for tools that do not know that")
	return cmd
}

func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, fs.ErrPermission):
		return "", &exitError{exitNotRunnable, fmt.Errorf("%s may not be run", name), ""}
	}
	return "", &exitError{exitNotFound, fmt.Errorf("there is no command %q", name), "is it on the PATH? everything behind -- is the command"}
}

// session finds the session for these bastions, or opens one that lasts until
// end is called. One that runs and does not do as wanted is refused where it was
// asked for, else passed over.
func (o *connectOptions) session(ctx context.Context, c *console, targets []string, port string, w wishes) (info sessionInfo, end func(), err error) {
	if len(targets) == 0 && o.instance.id == "" {
		if info, err = running(ctx, port, w.profile); err == nil {
			err = info.serves(w.variant)
		}
		return info, func() {}, err
	}
	if port != "" {
		return info, nil, usageError("leave HOST out, or the port", "--local-port is for a session that is running, and HOST for one of its own")
	}
	if err := o.target(targets); err != nil {
		return info, nil, err
	}
	if err := o.check(); err != nil {
		return info, nil, err
	}
	if slices.Equal(o.listen, []string{"0"}) {
		o.listen = nil // any will do, that of a running one too
	}
	switch found, err := o.find(ctx, w); {
	case err != nil:
		return info, nil, err
	case found != nil:
		return *found, func() {}, nil
	}
	if len(o.listen) == 0 {
		o.listen = []string{"0"}
	}
	s, err := open(ctx, c, o)
	if err != nil {
		if ctx.Err() != nil {
			err = &exitError{exitInterrupted, errInterrupted, ""}
		}
		return info, nil, err
	}
	info, err = s.info().as("")
	return info, func() { s.close(c) }, err
}

// environment is base with some variables set and some left out.
func environment(base []string, set []variable, unset []string) []string {
	env := slices.DeleteFunc(slices.Clone(base), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(unset, name)
	})
	for _, v := range set {
		env = append(env, v.name+"="+v.value) // the last one counts
	}
	return env
}

// runChild runs the command in our place: its input, output, signals and exit
// code are ours.
func runChild(path string, args, env []string) error {
	child := &exec.Cmd{Path: path, Args: args, Env: env, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, heeded(passedOn...)...)
	defer signal.Stop(caught)
	if err := child.Start(); err != nil {
		return &exitError{exitNotRunnable, err, ""}
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case s := <-caught:
			// A terminal has sent Ctrl-C and Ctrl-\ to the command too.
			if fromKeyboard := s == os.Interrupt || s == syscall.SIGQUIT; !fromKeyboard || !inForeground() {
				_ = child.Process.Signal(s) // it may have ended
			}
		case err := <-ended:
			var exit *exec.ExitError
			switch {
			case err == nil:
				return &exitError{code: 0} // whatever came before it
			case !errors.As(err, &exit):
				return err
			case exit.ExitCode() >= 0:
				return &exitError{code: exit.ExitCode()}
			}
			status, _ := exit.Sys().(syscall.WaitStatus)
			return &exitError{code: exitSignal + int(status.Signal())}
		}
	}
}
