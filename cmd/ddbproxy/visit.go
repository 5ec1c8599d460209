package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/ddbproxy/ddbproxy/internal/doctor"
	"github.com/ddbproxy/ddbproxy/internal/version"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel"
)

// visit is one run of doctor.
type visit struct {
	*doctorOptions
	console  *console
	unread   error        // why the configuration file could not be used
	settings *awsSettings // nil where they could not be read
	prompter tunnel.Prompter
}

// whereto settles which bastions are looked at; none where none is named and no
// session runs.
func (v *visit) whereto(ctx context.Context, args []string) error {
	if err := v.check(); err != nil {
		return err
	}
	if len(args) > 0 || v.instance.id != "" {
		return v.target(args)
	}
	running, _, _ := sessions[sessionInfo](ctx, "/session") // none is no error here
	for _, s := range running {
		if s.OwnSSH && !v.hasOwnSSH() {
			return usageError("ddbproxy doctor "+strings.Join(s.Bastions, " ")+", with the same flags",
				"the session at %s was started with ssh settings of its own (--ssh-config, --identity, --known-hosts or --ssh-command)", s.URL)
		}
		if len(v.regions) == 0 && v.endpoint == "" {
			v.regions, v.endpoint = []string{s.Region}, s.Endpoint // what is served there
		}
		for _, b := range s.Bastions {
			if !slices.Contains(v.destinations, b) {
				v.destinations = append(v.destinations, b)
			}
		}
	}
	return nil
}

// examine makes all checks and gives the facts of each bastion.
func (v *visit) examine(ctx context.Context, list *doctor.Checklist) (all []*doctor.Facts) {
	if t := openTerminal(v.console); t != nil {
		v.prompter = t
	}
	laptop := &doctor.Facts{VPCE: v.vpce, Table: v.table, Instance: v.instance.id}
	list.Run(ctx, v.machine(ctx).Checks(), laptop)
	if len(v.destinations) == 0 {
		list.Run(ctx, []doctor.Check{doctor.NoBastion(v.unread == nil)}, laptop)
		return []*doctor.Facts{laptop}
	}
	for i, destination := range v.destinations {
		f := *laptop
		f.Bastion = destination
		all = append(all, &f)
		way := v.way(i)
		list.Run(ctx, slices.Concat(way.Checks(), doctor.AWSChecks(), way.Proof()), &f)
		way.Close()
	}
	return all
}

// way is the one by a bastion. AWS's settings are needed only where AWS leads to it.
func (v *visit) way(i int) *doctor.Way {
	w := &doctor.Way{Version: version.String(), Profile: v.profileNames()[0], NeedsAWS: v.instance.id != ""}
	settings := v.settings
	if settings == nil {
		settings = new(awsSettings)
		if w.NeedsAWS {
			w.Client = &tunnel.Client{Destination: v.destinations[i]}
			return w
		}
	}
	w.Client = newTunnel(v.console, &v.connectOptions, settings, v.prompter, v.logger(v.console)).Bastions[i]
	w.Roots = settings.roots
	return w
}

// configuration is the finding about ddbproxy's own file.
func (v *visit) configuration(context.Context, *doctor.Facts) doctor.Finding {
	if v.unread != nil {
		_, hint := describe(v.unread)
		return doctor.Bad(v.unread.Error(), "ddbproxy cannot know what was meant, and does nothing.", hint)
	}
	name := v.config
	if name == "" {
		name, _ = configPath() // without a home there is none
	}
	if _, err := os.Stat(name); err != nil {
		return doctor.Well("flags and the environment: there is no file")
	}
	return doctor.Well("%s", name)
}

// readSettings is the finding about AWS's own configuration.
func (v *visit) readSettings(ctx context.Context, f *doctor.Facts) doctor.Finding {
	settings, err := loadAWS(ctx, &v.connectOptions, v.prompter)
	if err != nil {
		_, hint := describe(err)
		return doctor.Bad(err.Error(), "ddbproxy cannot know what to sign with, and for which region.", hint)
	}
	v.settings = settings
	f.Config, f.Region, f.Endpoint = settings.config, settings.regions[0], v.settleEndpoint(settings)
	f.Config.Region, f.URLOf = f.Region, ownEndpoint
	if ep, err := endpoint.Parse(f.Endpoint); err == nil && f.VPCE == "" {
		f.VPCE = ep.VPCE
	}
	if profile := v.profileNames()[0]; profile != "" {
		return doctor.Well("profile %s, %s", profile, f.Region)
	}
	return doctor.Well("%s", f.Region)
}

// port is the finding about the local port, which is opened for a moment.
func (v *visit) port(ctx context.Context, _ *doctor.Facts) doctor.Finding {
	listeners, err := listen(v.listen, v.anywhere)
	if err == nil {
		var addrs []string
		for _, l := range listeners {
			addrs = append(addrs, l.Addr().String())
			l.Close()
		}
		if slices.Contains(v.listen, "0") {
			return doctor.Well("any that is free")
		}
		return doctor.Well("%s free", strings.Join(addrs, ", "))
	}
	if bastion := ownSession(ctx, err); bastion != "" {
		return doctor.Well("your session's, by %s", bastion)
	}
	_, hint := describe(err)
	meaning := "ddbproxy connect cannot listen there."
	if errors.Is(err, syscall.EADDRINUSE) {
		meaning = "Another program has the port, and what is meant for ddbproxy goes to that."
	}
	return doctor.Bad(err.Error(), meaning, hint)
}

// machine is this one, as the checks see it.
func (v *visit) machine(ctx context.Context) *doctor.Machine {
	profile := v.profileNames()[0]
	m := &doctor.Machine{
		Configuration: v.configuration, Settings: v.readSettings, Port: v.port,
		Whose: whose, Profile: profile, Now: time.Now,
		Tools: doctor.Tools{Env: environmentNow(), Profile: toolsProfile(ctx), URL: "http://localhost:" + defaultPort, CLI: versionOfCLI},
	}
	running, _, _ := sessions[sessionInfo](ctx, "/session") // none is no error here
	for _, s := range running {
		v.ports = append(v.ports, s.port())
	}
	if len(running) > 0 {
		m.Tools.URL = running[0].plainURL()
	}
	m.Tools.Ports = slices.Concat(v.ports, v.listenPorts())
	if len(v.listen) == 0 {
		m.Tools.Ports = append(m.Tools.Ports, defaultPort)
	}
	return m
}

// environmentNow keeps the environment, which loadAWS changes.
func environmentNow() func(name string) string {
	values := make(map[string]string)
	for _, line := range os.Environ() {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

// toolsProfile is what AWS tools find in the files of this user, by this shell's
// AWS_PROFILE.
func toolsProfile(ctx context.Context) config.SharedConfig {
	name := os.Getenv("AWS_PROFILE")
	if name == "" {
		name = config.DefaultSharedConfigProfile
	}
	// One that cannot be read asks for nothing.
	shared, _ := sharedProfile(ctx, name)
	shared.Profile = name
	return shared
}

// versionOfCLI runs the AWS CLI, which older Pythons have print it on standard
// error.
func versionOfCLI(ctx context.Context) (string, error) {
	path, err := exec.LookPath("aws")
	if err != nil {
		return "", errors.New("there is no aws on the PATH")
	}
	text, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("aws --version: %w", err)
	}
	return string(text), nil
}
