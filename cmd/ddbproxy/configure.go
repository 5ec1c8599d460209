package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"
)

const isWindows = runtime.GOOS == "windows"

func newConfigure(c *console) *cobra.Command {
	var region, port, of string
	var undo bool
	cmd := &cobra.Command{
		Use:   "configure [PROFILE]",
		Short: "Write a profile into ~/.aws/config that uses ddbproxy",
		Long: `Writes a profile (ddbproxy, without a name) into ~/.aws/config, or the file that
AWS_CONFIG_FILE names. With it AWS tools use the running session for DynamoDB,
without settings in the environment. Nothing else in the file changes; --undo
takes it out again.

The profile has a region, ddbproxy credentials as its credential_process, and a
services section with the endpoint http://localhost:8000. Region and port are
those of the running session, or given here; once more with others changes them.
Of a session with several profiles --profile says whose requests these are.

AWS CLI from 2.13 and 1.29, boto3 from 1.28, and the SDKs for JavaScript 3 and
Go 2 know services sections. Older ones, Debian 12's AWS CLI 2.9 among them,
would pass the session by and be denied: they need --endpoint-url too.

Only DynamoDB can be reached with the profile: other services of AWS do not know
the session's key. Do not start ddbproxy connect with it.`,
		Example: `  ddbproxy configure --region eu-west-1
  ddbproxy connect dev@bastion        # in another shell
  aws --profile ddbproxy dynamodb list-tables

  ddbproxy configure staging --region eu-west-1 --local-port 8001
  ddbproxy configure staging --undo
  ddbproxy configure via-prod --profile prod`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError("ddbproxy configure NAME", "configure takes one profile, and got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "ddbproxy"
			if len(args) > 0 {
				name = args[0]
			}
			if err := checkProfileName(name); err != nil {
				return err
			}
			file := awsConfigFile()
			if undo {
				if region+port != "" {
					return usageError("ddbproxy configure "+name+" --undo", "--undo goes with no other flag")
				}
				return unconfigure(c, file, name)
			}
			return configure(cmd.Context(), c, file, awsProfile{name: name, region: region, of: firstOf(of)}, port)
		},
	}
	f := cmd.Flags()
	f.StringVar(&region, "region", "", "AWS `region` of the profile (default: the running session's, else AWS_REGION)")
	f.StringVar(&port, "local-port", "", "the session's local `port` (default: that of the running session, else 8000)")
	profileFlag(f, &of)
	f.BoolVar(&undo, "undo", false, "take the profile out again")
	return cmd
}

// configure writes profile into file; what it lacks is that of the session that
// is running.
func configure(ctx context.Context, c *console, file string, profile awsProfile, port string) error {
	if err := profile.complete(ctx, port); err != nil {
		return err
	}
	credentials := awsCredentialsFile()
	static, err := readOrNone(credentials)
	if err != nil {
		return err
	}
	if hasSection(static, profile.name) {
		return usageError("give another name: ddbproxy configure NAME", "%s has a profile %s, whose keys would be used instead", credentials, profile.name)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	unlock, err := lockDir(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer unlock()
	old, err := readOrNone(file)
	if err != nil {
		return err
	}
	if bytes.IndexByte(old, 0) >= 0 {
		return &exitError{exitFailed, fmt.Errorf("%s is not a text file in UTF-8; nothing was changed", file), "AWS tools cannot read it either"}
	}
	changed, err := profile.put(old)
	switch {
	case errors.Is(err, errForeignProfile):
		return usageError("give another name: ddbproxy configure NAME", "%s %v: %s; nothing was changed", file, err, profile.name)
	case err != nil:
		return blockError(file, profile.name, err)
	}
	if bytes.Equal(old, changed) {
		c.say("ddbproxy: %s has the profile already; nothing was changed", file)
	} else {
		if err := replaceFile(file, changed); err != nil {
			return err
		}
		c.say("ddbproxy: written to %s:", file)
	}
	c.tell("%s", profile.text())
	c.say("\nWhile ddbproxy connect runs:\n\n  aws --profile %s dynamodb list-tables\n\nAWS CLI before 2.13 or 1.29 needs --endpoint-url %s too.", profile.name, profile.url)
	return nil
}

// complete finds what was not given.
func (p *awsProfile) complete(ctx context.Context, port string) error {
	if err := checkPort(port); err != nil {
		return err
	}
	found, _, err := sessions[sessionInfo](ctx, "/session")
	if err != nil {
		return err
	}
	if port == "" && len(found) == 0 {
		port = defaultPort
	}
	session, err := pick(found, port)
	var usage *exitError
	if errors.As(err, &usage) && usage.code == exitUsage { // several
		return err
	}
	if err != nil {
		session = sessionInfo{URL: "http://localhost:" + port}
	} else if _, err := session.as(p.of); err != nil {
		return err
	}
	p.url = session.plainURL() // the profile would need ca_bundle for https
	for _, region := range []string{session.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if p.region == "" {
			p.region = region
		}
	}
	if p.region == "" {
		return usageError("give --region eu-west-1 (the bastion's), or do it while ddbproxy connect runs", "no region")
	}
	if err := checkRegion(p.region); err != nil {
		return err
	}
	program, err := ownPath()
	if err != nil {
		return err
	}
	p.process, err = processCommand(program, session.port(), p.of)
	return err
}

// unconfigure takes the profile out of file.
func unconfigure(c *console, file, name string) error {
	if unlock, err := lockDir(filepath.Dir(file)); err == nil { // else there is no file
		defer unlock()
	}
	old, err := readOrNone(file)
	if err != nil {
		return err
	}
	rest, found, err := removeBlock(old, name)
	switch {
	case err != nil:
		return blockError(file, name, err)
	case !found && hasSection(old, name):
		return usageError("remove it with an editor, if you want it gone", "%s %v: %s; nothing was changed", file, errForeignProfile, name)
	case !found:
		c.say("ddbproxy: %s has no profile %s; nothing was changed", file, name)
		return nil
	}
	if err := replaceFile(file, rest); err != nil {
		return err
	}
	c.say("ddbproxy: profile %s is gone from %s", name, file)
	return nil
}

func blockError(file, name string, err error) error {
	return &exitError{exitFailed, fmt.Errorf("%s %w; nothing was changed", file, err),
		fmt.Sprintf("remove what is left of profile %s, and the comments of ddbproxy around it, with an editor", name)}
}

// awsConfigFile is the configuration file of AWS tools.
func awsConfigFile() string {
	if name := os.Getenv("AWS_CONFIG_FILE"); name != "" {
		return inHome(name)
	}
	return config.DefaultSharedConfigFilename()
}

func awsCredentialsFile() string {
	if name := os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); name != "" {
		return inHome(name)
	}
	return config.DefaultSharedCredentialsFilename()
}

// inHome reads a "~/" that no shell has read, as the AWS CLI does.
func inHome(name string) string {
	rest, ok := strings.CutPrefix(name, "~/")
	home, err := os.UserHomeDir()
	if !ok || err != nil {
		return name
	}
	return filepath.Join(home, rest)
}

// ownPath is where this program lies, by the name that an upgrade keeps: a link
// on the PATH and not the versioned file that it leads to.
func ownPath() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	if found, err := exec.LookPath("ddbproxy"); err == nil && sameFile(found, path) {
		path = found
	}
	return filepath.Abs(path)
}

func sameFile(a, b string) bool {
	ai, aerr := os.Stat(a)
	bi, berr := os.Stat(b)
	return aerr == nil && berr == nil && os.SameFile(ai, bi)
}
