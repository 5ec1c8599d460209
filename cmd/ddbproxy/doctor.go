package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ddbproxy/ddbproxy/internal/doctor"
)

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	connectOptions
	vpce   string
	table  string
	asJSON bool
}

func newDoctor(c *console) *cobra.Command {
	o := &doctorOptions{}
	o.compress, o.hold, o.program = "auto", defaultHold, relayProgram
	cmd := &cobra.Command{
		Use:   "doctor [[USER@]HOST[:PORT]... | TARGET | --instance-connect ID]",
		Short: "Find out why DynamoDB does not answer, and what mends it",
		Long: `Goes the way from this machine to DynamoDB part by part: this machine's settings
and credentials, ssh, the relay, the bastion, what AWS has around it, and as a
proof the same signed call past the bastion and through it. Each part is a line,

  ✓  it is well
  ✗  it is not; below is what that means, and the command or the step in AWS's
     console that mends it
  –  it could not be looked at, and why

It takes the settings of ddbproxy connect, the TARGETs of its configuration file
among them, and goes beside a session that runs. Without HOST it looks at the
bastions of the sessions that run, in their region, with the settings given
here. Of several profiles and regions it takes the first.

Nothing is changed, here or at AWS: known_hosts is not written, and a host key
that is not known is refused, or taken for this once where ssh's configuration
accepts new ones. What connect would leave stays here too: the relay in
~/.cache/ddbproxy on a bastion that has none, and for 60 seconds the key of
--instance-connect.

All other calls to AWS only read. From here it asks STS who it is and DynamoDB
for a list of tables (or about --table, where a policy allows one table alone),
from the bastion for the same, and EC2 and IAM about the VPC and the policies.
What permissions do not allow is skipped.

The exit code is 0 when nothing failed, 1 when something did, and 2 where the
command line is wrong. What was skipped has not failed.`,
		Example: `  ddbproxy doctor dev@bastion.example.com
  ddbproxy doctor prod
  ddbproxy doctor bastion --profile dev --region eu-west-1 --table music
  ddbproxy doctor --instance-connect i-0123456789abcdef0
  ddbproxy doctor bastion --json |
      jq -r '.results[] | select(.outcome == "failed") | .id + " " + .remedy'`,
		Args: cobra.ArbitraryArgs, // o.target looks at them
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, c, args)
		},
	}
	cmd.DisableFlagsInUseLine = true // it would be too long
	f := cmd.Flags()
	o.wayFlags(f)
	f.StringVar(&o.vpce, "vpce", "", "the VPC endpoint's `id`, where the one in use is not found")
	f.StringVar(&o.table, "table", "", "a table's `name` to ask about, instead of a list of tables")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	return cmd
}

func (o *doctorOptions) run(cmd *cobra.Command, c *console, args []string) error {
	ctx := cmd.Context()
	if o.vpce != "" && !endpointID.MatchString(o.vpce) {
		return usageError("aws ec2 describe-vpc-endpoints shows them", "--vpce %q: not an id such as vpce-0123456789abcdef0", o.vpce)
	}
	if o.table != "" && !tableName.MatchString(o.table) {
		return usageError("give it without its ARN", "--table %q: not the name of a table", o.table)
	}
	v := &visit{doctorOptions: o, console: c}
	args, v.unread = fromFile(c, cmd, args)
	if v.unread == nil {
		if err := v.whereto(ctx, args); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	printer := &doctor.Printer{W: out, Color: isTerminal(out) && os.Getenv("NO_COLOR") == ""}
	list := &doctor.Checklist{}
	if !o.asJSON {
		list.Each = printer.Print
	}
	facts := v.examine(ctx, list)
	if o.asJSON {
		if err := doctor.WriteJSON(out, list.Results, facts...); err != nil {
			return err
		}
	} else {
		printer.Sum(list.Results)
	}
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errInterrupted, ""}
	case !doctor.AllWell(list.Results):
		return &exitError{code: exitFailed}
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
