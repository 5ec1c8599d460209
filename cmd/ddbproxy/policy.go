package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ddbproxy/ddbproxy/internal/policy"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// policyOptions are the flags of policy.
type policyOptions struct {
	scope      policy.Scope
	deny       bool
	ofEndpoint bool
	check      []string
	asJSON     bool
}

func newPolicy() *cobra.Command {
	var o policyOptions
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Print or check the IAM policy that admits the VPC endpoint only",
		Long: `Prints an IAM policy, for the user or role whose keys ddbproxy signs with, that
allows DynamoDB through the VPC endpoint and in no other way. Nothing is asked
of AWS and nothing is changed there.

It allows, and other policies may allow more. --deny prints the policy that
denies all ways past the endpoint, whatever others allow; it allows nothing by
itself. Calls that an AWS service makes for its caller (CloudFormation, Backup)
are left to the others. --endpoint-policy prints the policy of the endpoint
itself.

--check FILE says what existing policies let through: through the endpoint, from
elsewhere (the internet, or another VPC endpoint), in the console, and for AWS
services that act for their caller. Without --table it tries a table for each
ARN in the policies, and one of another name. Give --check once for each policy
that a user or role has. Policies with a Principal are taken for the endpoint's,
and gate what comes through it. The words are

  allowed      by a statement, and none denies it
  not allowed  no statement allows it
  denied       a statement denies it, whatever others allow
  unknown      it depends on keys or operators that are not known here, which
               are named

Of IAM's operators those on dates, numbers and binary values are not known.
Permissions boundaries and the policies of organizations, sessions and tables
can deny more, and are not looked at. AWS answers DescribeEndpoints on its
public endpoints whatever policies say.

The exit code of --check is 0 when something is allowed through the endpoint and
all else is certainly not, from elsewhere and in the console; else 1.`,
		Example: `  ddbproxy policy --vpce vpce-0123456789abcdef0
  ddbproxy policy --vpce vpce-0123456789abcdef0 --deny >deny.json
  ddbproxy policy --vpce vpce-0123456789abcdef0 --table music --region eu-west-1
  ddbproxy policy --check allow.json --check deny.json
  aws iam get-policy-version … --query PolicyVersion.Document |
      ddbproxy policy --check - --vpce vpce-0123456789abcdef0 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.scopeError(); err != nil {
				return err
			}
			if len(o.check) > 0 {
				return o.runCheck(cmd)
			}
			return o.print(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.scope.VPCEs, "vpce", nil, "the endpoint's `id`, or several")
	flags.StringSliceVar(&o.scope.Tables, "table", nil, "a table's `name` or ARN, or several; all if none is given")
	flags.StringVar(&o.scope.Region, "region", "", "the `region` of tables that are given by name")
	flags.StringVar(&o.scope.Account, "account", "", "the account's `number`: of tables, and of callers in --endpoint-policy")
	flags.BoolVar(&o.deny, "deny", false, "deny all ways past the endpoint")
	flags.BoolVar(&o.ofEndpoint, "endpoint-policy", false, "the policy of the endpoint itself")
	flags.StringArrayVar(&o.check, "check", nil, "say what the policy in `file` lets through (- is standard input)")
	flags.BoolVar(&o.asJSON, "json", false, "with --check, print JSON")
	for _, name := range []string{"vpce", "table", "account"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions) // the flag is there
	}
	return cmd
}

var (
	endpointID = regexp.MustCompile(`^vpce-[0-9a-f]{8,17}$`)
	tableName  = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)
	tableARN   = regexp.MustCompile(`^arn:[a-z-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[a-zA-Z0-9_.-]{3,255}$`)
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
)

// scopeError is what is wrong with the flags. What is printed here goes into a
// policy, so it has no wildcards that nobody meant.
func (o *policyOptions) scopeError() error {
	s := o.scope
	for _, id := range s.VPCEs {
		if !endpointID.MatchString(id) {
			return usageError("aws ec2 describe-vpc-endpoints shows them", "--vpce %q: not an id such as vpce-0123456789abcdef0", id)
		}
	}
	for _, t := range s.Tables {
		if !tableName.MatchString(t) && !tableARN.MatchString(t) {
			return usageError("an index or a stream belongs to its table", "--table %q: not the name or ARN of a table", t)
		}
	}
	if _, err := endpoint.Host(endpoint.DynamoDB, s.Region, false, false); s.Region != "" && err != nil {
		return usageError("an endpoint is in one region, such as eu-west-1", "--region %q: not an AWS region", s.Region)
	}
	switch {
	case s.Account != "" && !accountID.MatchString(s.Account):
		return usageError("aws sts get-caller-identity shows it", "--account %q: not 12 digits", s.Account)
	case len(o.check) > 0 && (o.deny || o.ofEndpoint):
		return usageError("print in one call and check in another", "--check does not go with --deny or --endpoint-policy")
	case len(o.check) == 0 && o.asJSON:
		return usageError("policies are JSON anyway", "--json is for --check")
	case o.deny && o.ofEndpoint:
		return usageError("what an endpoint does not allow is denied", "--deny does not go with --endpoint-policy")
	case len(o.check) == 0 && !o.ofEndpoint && len(s.VPCEs) == 0:
		return usageError("give --vpce vpce-…; aws ec2 describe-vpc-endpoints shows them", "no endpoint")
	}
	return nil
}

func (o *policyOptions) print(w io.Writer) error {
	p := policy.Allow(o.scope)
	switch {
	case o.deny:
		p = policy.Deny(o.scope)
	case o.ofEndpoint:
		p = policy.ForEndpoint(o.scope)
	}
	text, err := p.JSON()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func (o *policyOptions) runCheck(cmd *cobra.Command) error {
	var identity, ofEndpoint []*policy.Policy
	for _, name := range o.check {
		p, err := readPolicy(name, cmd.InOrStdin())
		if err != nil {
			return err
		}
		if p.OfEndpoint() {
			ofEndpoint = append(ofEndpoint, p)
		} else {
			identity = append(identity, p)
		}
	}
	if len(identity) == 0 {
		return usageError("add --check with the policies of the user or role", "an endpoint's policy alone allows nobody anything")
	}
	if len(o.scope.VPCEs) == 0 {
		o.scope.VPCEs = policy.Endpoints(identity)
	}
	if n := len(o.scope.VPCEs); n != 1 {
		return usageError("give one with --vpce", "the policies name %d endpoints, and one is checked", n)
	}
	r := policy.Check(identity, ofEndpoint, o.scope)
	out := cmd.OutOrStdout()
	if o.asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else if err := printReport(out, r); err != nil {
		return err
	}
	if len(r.Problems) == 0 {
		return nil
	}
	hint := ""
	if strings.Contains(strings.Join(r.Problems, ""), "allowed from elsewhere") {
		hint = "ddbproxy policy --deny prints a policy that shuts other ways"
	}
	return &exitError{exitFailed, errors.New(strings.Join(r.Problems, "\n")), hint}
}

// maxPolicy is far above IAM's limit of 10,240 characters.
const maxPolicy = 1 << 20

func readPolicy(name string, stdin io.Reader) (*policy.Policy, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usageError("", "--check: %v", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxPolicy))
	if err != nil {
		return nil, usageError("", "--check %s: %v", name, err)
	}
	p, err := policy.Parse(data)
	if err != nil {
		return nil, usageError("", "--check %s: %v", name, err)
	}
	return p, nil
}

// printReport shows r for a person: a line for each kind of call, or for each of
// its calls where they differ.
func printReport(w io.Writer, r policy.Report) error {
	var b strings.Builder
	line := func(name string, cells ...any) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-25s %-12v %-12v %-12v %v", append([]any{name}, cells...)...), " ") + "\n")
	}
	line(r.VPCE, "through it", "elsewhere", "console", "AWS services")
	subject := ""
	var depends []string
	for calls := r.Calls; len(calls) > 0; {
		first, same := calls[0], 1
		for same < len(calls) && calls[same].Group == first.Group && calls[same].Subject == first.Subject {
			same++
		}
		if first.Subject != subject {
			subject = first.Subject
			fmt.Fprintf(&b, "\n%s\n", relay.Printable(subject, 200)) // out of the policy
		}
		differ := func(c policy.Call) bool { return c.Places != first.Places }
		each := slices.ContainsFunc(calls[:same], differ)
		for i, c := range calls[:same] {
			depends = append(depends, c.Depends...)
			name := c.Group
			if each {
				name = strings.TrimPrefix(c.Action, "dynamodb:")
			}
			if each || i == 0 {
				line("  "+name, c.Places[policy.Through], c.Places[policy.Elsewhere], c.Places[policy.Console], c.Places[policy.Services])
			}
		}
		calls = calls[same:]
	}
	slices.Sort(depends)
	for i, d := range slices.Compact(depends) {
		if i == 0 {
			fmt.Fprint(&b, "\nWhat is unknown depends on\n")
		}
		fmt.Fprintf(&b, "  %s\n", relay.Printable(d, 200))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
