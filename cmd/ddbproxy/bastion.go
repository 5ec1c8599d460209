package main

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// relayCommand is how sshd is to start the relay, for an administrator.
type relayCommand struct {
	program  string
	regions  []string
	vpce     []string
	prefixes []string
	private  bool
	audit    bool
}

func newBastion() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bastion",
		Short: "Print sshd's settings for accounts that may do nothing but this",
		Long: `For the administrator of a bastion: settings of sshd with which an account, or
one key of it, can start ddbproxy-relay and nothing else. Install ddbproxy-relay
there first, for all users.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuthorizedKey(), newSSHDConfig())
	return cmd
}

func newAuthorizedKey() *cobra.Command {
	var r relayCommand
	cmd := &cobra.Command{
		Use:   "authorized-key KEYFILE",
		Short: "Print a line of authorized_keys for a public key",
		Long: `Prints the public keys in KEYFILE as lines of authorized_keys that let their
owner start the relay: no shell, no other program, no forwarding, no terminal.
Whatever command ssh asks for, this one is run.`,
		Example: `  ddbproxy bastion authorized-key id_ed25519.pub --region eu-west-1 |
    ssh admin@bastion 'sudo -u dev tee -a ~dev/.ssh/authorized_keys'`,
		Args: cobra.ArbitraryArgs, // counted below
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("give the public key, such as ~/.ssh/id_ed25519.pub", "%d key files given", len(args))
			}
			command, err := r.line()
			if err != nil {
				return err
			}
			keys, err := publicKeys(args[0])
			if err != nil {
				return err
			}
			for _, key := range keys {
				fmt.Fprintf(cmd.OutOrStdout(), "restrict,command=\"%s\" %s\n", command, key)
			}
			return nil
		},
	}
	r.flags(cmd)
	return cmd
}

func newSSHDConfig() *cobra.Command {
	var r relayCommand
	var group string
	cmd := &cobra.Command{
		Use:   "sshd-config",
		Short: "Print a block of sshd_config for a group of users",
		Long: `Prints a block of sshd_config that lets the members of a group start the relay:
no shell, no other program, no forwarding, no terminal. Whatever command ssh
asks for, this one is run, by their login shell: that has to be a shell.`,
		Example: `  ddbproxy bastion sshd-config --group developers --region eu-west-1 |
    ssh admin@bastion 'sudo tee /etc/ssh/sshd_config.d/ddbproxy.conf &&
      sudo sshd -t && sudo systemctl reload ssh'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !groupName.MatchString(group) {
				return usageError("give the name of one group on the bastion", "--group %q is no group's name", group)
			}
			command, err := r.line()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), sshdBlock, group, command)
			return nil
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&group, "group", "ddbproxy", "the `group` on the bastion")
	return cmd
}

// sshdBlock forbids one by one what DisableForwarding is meant to forbid: it
// left out agents and X11 before OpenSSH 10.0 (CVE-2025-32728). ExposeAuthInfo
// tells the relay which key logged in.
const sshdBlock = `# Members of this group can reach DynamoDB, and do nothing else here.
Match Group %s
    ForceCommand %s
    DisableForwarding yes
    AllowTcpForwarding no
    AllowStreamLocalForwarding no
    AllowAgentForwarding no
    X11Forwarding no
    PermitOpen none
    PermitListen none
    PermitTunnel no
    PermitTTY no
    PermitUserRC no
    ExposeAuthInfo yes
Match all
`

var (
	groupName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	programName = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)
)

func (r *relayCommand) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.program, "relay", "ddbproxy-relay", "the relay's `path` on the bastion, where it is not on the PATH of sshd")
	f.StringSliceVar(&r.regions, "region", nil, "allow endpoints of these `region`s only")
	f.StringSliceVar(&r.vpce, "vpce", nil, "allow interface endpoints with these `id`s or names")
	f.StringSliceVar(&r.prefixes, "prefixes", nil, "dial addresses in these `prefix`es only: the region's prefix list")
	f.BoolVar(&r.private, "private", false, "dial private addresses only, as interface endpoints have, beside those of --prefixes")
	f.BoolVar(&r.audit, "audit", false, "have the relay write a line for each connection to syslog")
}

// line is the command as sshd and a shell read it: no value in it has anything
// to quote.
func (r *relayCommand) line() (string, error) {
	if !programName.MatchString(r.program) {
		return "", usageError("give its path without blanks and quotes", "--relay %q cannot stand in sshd's files", r.program)
	}
	for _, region := range r.regions {
		if _, err := endpoint.Host(endpoint.DynamoDB, region, false, false); err != nil {
			return "", usageError("regions look like eu-west-1", "--region: %v", err)
		}
	}
	for _, id := range r.vpce {
		if !endpoint.IsVPCE(id) {
			return "", usageError("give its id, such as vpce-0abc123", "--vpce %q is no interface endpoint", id)
		}
	}
	for _, prefix := range r.prefixes {
		if p, err := netip.ParsePrefix(prefix); err != nil || p.Addr().Is4In6() {
			return "", usageError("aws ec2 get-managed-prefix-list-entries lists those of a prefix list", "--prefixes %q: not a prefix such as 52.94.24.0/23", prefix)
		}
	}
	line := r.program
	for _, f := range []struct {
		name   string
		values []string
	}{{"-region", r.regions}, {"-vpce", r.vpce}, {"-prefixes", r.prefixes}} {
		if len(f.values) > 0 {
			line += " " + f.name + " " + strings.Join(f.values, ",")
		}
	}
	if r.private {
		line += " -private"
	}
	if r.audit {
		line += " -audit"
	}
	return line, nil
}

// publicKeys reads a file of public keys, each on a line as ssh-keygen writes it.
func publicKeys(file string) ([]string, error) {
	hint := "give the public key, such as ~/.ssh/id_ed25519.pub"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError(hint, "%v", err)
	}
	var keys []string
	for rest := text; len(strings.TrimSpace(string(rest))) > 0; {
		key, comment, options, left, err := ssh.ParseAuthorizedKey(rest)
		switch {
		case strings.Contains(string(text), "PRIVATE KEY"):
			return nil, usageError("its public half is in "+file+".pub", "%s is a private key, which belongs to its owner alone", file)
		case err != nil:
			return nil, usageError(hint, "%s holds no public key", file)
		case len(options) > 0:
			return nil, usageError("give the key without them", "%s has options of its own: %s", file, strings.Join(options, ","))
		case strings.HasSuffix(key.Type(), "-cert-v01@openssh.com"):
			return nil, usageError("give the public key that it certifies, or use ddbproxy bastion sshd-config", "%s is a certificate", file)
		}
		line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
		if comment != "" {
			line += " " + comment
		}
		keys, rest = append(keys, line), left
	}
	if keys == nil {
		return nil, usageError(hint, "%s is empty", file)
	}
	return keys, nil
}
