package main

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ddbproxy/ddbproxy/tunnel"
)

const noFiles = cobra.ShellCompDirectiveNoFileComp

// awsRegions are those of the partitions that one can sign up for, as known when
// this was written; others are served as well.
var awsRegions = strings.Fields(`
	af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
	ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
	ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3
	il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
	cn-north-1 cn-northwest-1 us-gov-east-1 us-gov-west-1`)

// completed are the values of flags of one name, in whatever command.
var completed = map[string]cobra.CompletionFunc{
	"carrier":          cobra.FixedCompletions([]string{"auto\tthe relay, else forward", "relay\ta program on the bastion", "forward\tssh's own forwarding"}, noFiles),
	"format":           cobra.FixedCompletions(formatNames, noFiles),
	"local-port":       completePorts,
	"profile":          completeProfiles,
	"region":           completeRegions,
	"endpoint":         cobra.NoFileCompletions,
	"hold":             cobra.FixedCompletions([]string{"20s"}, noFiles),
	"instance-connect": cobra.NoFileCompletions,
	"listen":           cobra.FixedCompletions([]string{"8000", "8001"}, noFiles),
	"timeout":          cobra.FixedCompletions([]string{"30s", "1m"}, noFiles),
	"dynamodb":         cobra.NoFileCompletions,
	"vpce":             cobra.NoFileCompletions,
	"prefixes":         cobra.NoFileCompletions,
	"group":            cobra.NoFileCompletions,
	"table":            cobra.NoFileCompletions,
}

// addCompletions tells each command below a command how its values are completed.
// What is not told is completed by the names of files.
func addCompletions(above *cobra.Command) {
	for _, cmd := range above.Commands() {
		addCompletions(cmd)
		for name, values := range completed {
			if cmd.Flags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, values) // the flag is there
			}
		}
		switch cmd.Name() {
		case "connect", "doctor", "exec", "install", "uninstall":
			cmd.ValidArgsFunction = completeHosts
		case "show":
			cmd.ValidArgsFunction = completeTargets
		case "completion", "disconnect", "authorized-key":
		default:
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

// completeHosts are targets, and the Hosts of ssh's configuration with the user
// that was typed; what comes behind exec's -- is a command and its files.
func completeHosts(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	// cobra adds a -- of its own, so ArgsLenAtDash does not tell.
	if slices.Contains(os.Args[:len(os.Args)-1], "--") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	config, _ := cmd.Flags().GetString("ssh-config")
	user := typed[:strings.LastIndex(typed, "@")+1]
	hosts, _ := completeTargets(cmd, args, typed)
	for _, name := range tunnel.HostNames(config) {
		if !slices.Contains(args, user+name) {
			hosts = append(hosts, user+name)
		}
	}
	return hosts, noFiles
}

// completeTargets are those of the configuration file, of which there can be one.
func completeTargets(cmd *cobra.Command, args []string, _ string) (targets []string, _ cobra.ShellCompDirective) {
	named, _ := cmd.Flags().GetString("config")
	if named == "" {
		named = os.Getenv("DDBPROXY_CONFIG")
	}
	if f, err := readConfig(named); err == nil && len(args) == 0 {
		for _, name := range slices.Sorted(maps.Keys(f.targets)) {
			bastions, _ := texts(f.targets[name][bastionsKey]) // none: the name is one
			targets = append(targets, strings.TrimSuffix(name+"\t"+strings.Join(bastions, ", "), "\t"))
		}
	}
	return targets, noFiles
}

func completeCommands(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	for _, sub := range cmd.Root().Commands() {
		if len(args) == 0 && (sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand()) {
			names = append(names, sub.Name()+"\t"+sub.Short)
		}
	}
	return names, noFiles
}

func completePorts(cmd *cobra.Command, _ []string, _ string) (ports []string, _ cobra.ShellCompDirective) {
	found, _, _ := sessions[sessionInfo](cmd.Context(), "/session")
	for _, s := range found {
		ports = append(ports, s.port()+"\t"+s.Region)
	}
	return ports, noFiles
}

// completeRegions also takes a list, of which the last is completed.
func completeRegions(_ *cobra.Command, _ []string, typed string) (regions []string, _ cobra.ShellCompDirective) {
	before := typed[:strings.LastIndex(typed, ",")+1]
	for _, r := range awsRegions {
		if !slices.Contains(strings.Split(before, ","), r) {
			regions = append(regions, before+r)
		}
	}
	return regions, noFiles
}

// completeProfiles are the profiles of both of AWS's files but our own.
func completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	config, _ := readOrNone(awsConfigFile()) // none to offer
	credentials, _ := readOrNone(awsCredentialsFile())
	for i, file := range [][]byte{config, credentials} {
		for line := range bytes.Lines(file) {
			m := sectionHeader.FindSubmatch(line)
			if m == nil {
				continue
			}
			name, kind := string(m[2]), string(m[1])
			if i == 0 && kind != "profile" && name != "default" || slices.Contains(names, name) || len(lineAt(config, beginMark(name))) > 0 {
				continue
			}
			names = append(names, name)
		}
	}
	return names, noFiles
}
