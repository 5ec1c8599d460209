package tunnel

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
)

// lookup holds what the command line adds to ssh's configuration.
type lookup struct {
	configFile string   // -F
	identities []string // -i
	knownHosts []string // --known-hosts
	builtin    bool     // read the files here, although there is an ssh program
}

// resolve asks OpenSSH itself (ssh -G) what a destination means: Match,
// Include, canonical names and tokens are its business, not ours. Where there
// is no ssh program the files are read here, as far as they are simple.
func (l lookup) resolve(ctx context.Context, destination string) (*host, error) {
	target, port, err := splitDestination(destination)
	if err != nil {
		return nil, &Error{Kind: KindConfig, Host: destination, Err: err, Hint: "write it as [USER@]HOST[:PORT] or the name of a Host in ~/.ssh/config"}
	}
	var o options
	ssh, err := exec.LookPath("ssh")
	if err == nil && !l.builtin {
		o, err = l.askSSH(ctx, ssh, target, port)
		if ctx.Err() != nil {
			return nil, &Error{Kind: KindUnreachable, Host: destination, Err: context.Cause(ctx), Passing: true}
		}
		if err != nil {
			return nil, &Error{Kind: KindConfig, Host: destination, Err: fmt.Errorf("ssh -G: %w", err), Hint: "fix " + l.fileName()}
		}
	} else {
		o, err = l.readFiles(target, port)
		if err != nil {
			return nil, &Error{Kind: KindConfig, Host: destination, Err: err, Hint: "fix that file, or install OpenSSH's client: then it is asked"}
		}
	}
	h, err := o.host(bareHost(target))
	if err != nil {
		return nil, &Error{Kind: KindConfig, Host: destination, Err: err, Hint: "fix " + l.fileName()}
	}
	return h, l.finish(h)
}

// fileName is the configuration file to look into.
func (l lookup) fileName() string {
	if l.configFile != "" {
		return l.configFile
	}
	return "~/.ssh/config"
}

// askSSH runs ssh -G. Lists of algorithms are kept only where they differ from
// what this ssh has built in: somebody chose those.
func (l lookup) askSSH(ctx context.Context, ssh, target, port string) (options, error) {
	args := []string{"-o", "ControlPath=%C"} // which nothing here uses otherwise
	if l.configFile != "" {
		args = append(args, "-F", l.configFile)
	}
	if port != "" {
		args = append(args, "-p", port)
	}
	said, err := runG(ctx, ssh, append(args, "--", target)...)
	if err != nil {
		return nil, err
	}
	o := parseG(said)
	o[hashOption] = o["controlpath"]
	said, err = runG(ctx, ssh, "-F", "none", "--", "localhost")
	if err != nil {
		return nil, err
	}
	o.dropDefaults(parseG(said))
	return o, nil
}

// hashOption is where options keep what ssh says that %C stands for.
const hashOption = "%c"

func runG(ctx context.Context, ssh string, args ...string) (string, error) {
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, ssh, append([]string{"-G"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		if said := strings.Join(strings.Fields(stderr.String()), " "); said != "" {
			return "", errors.New(said)
		}
		return "", err
	}
	return out.String(), nil
}

// parseG reads the "keyword value" lines of ssh -G.
func parseG(said string) options {
	o := make(options)
	for line := range strings.Lines(said) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		key = strings.ToLower(key)
		switch {
		case key == "" || value == "":
		case isFileList(key):
			o[key] = splitFiles(value)
		default:
			o[key] = append(o[key], value)
		}
	}
	return o
}

// splitFiles takes a list of files apart that ssh -G prints without quotes: a
// name with spaces is known by the file that is there.
func splitFiles(value string) []string {
	words := strings.Split(value, " ")
	var files []string
	for len(words) > 0 {
		n := 1
		for end := len(words); end > 1; end-- {
			if _, err := os.Stat(expandHome(strings.Join(words[:end], " "))); err == nil {
				n = end
				break
			}
		}
		files = append(files, strings.Join(words[:n], " "))
		words = words[n:]
	}
	return files
}

// finish applies the command line and expands tokens.
func (l lookup) finish(h *host) error {
	if h.Port == "" {
		h.Port = "22"
	}
	if h.User == "" {
		u, err := user.Current()
		if err != nil {
			return &Error{Kind: KindConfig, Host: h.Alias, Err: err, Hint: "name the user: USER@" + h.Alias}
		}
		h.User = u.Username
	}
	h.ProxyJump = h.expandJump()
	if len(l.identities) > 0 {
		h.IdentityFiles = slices.Clone(l.identities)
		for _, name := range l.identities {
			if _, err := os.Stat(name); err != nil {
				return &Error{Kind: KindConfig, Host: h.String(), Err: fmt.Errorf("identity file: %w", err), Hint: "give -i a private key file that exists"}
			}
		}
	} else {
		for i, name := range h.IdentityFiles {
			h.IdentityFiles[i] = h.expand(name)
		}
	}
	for i, name := range h.CertificateFiles {
		h.CertificateFiles[i] = h.expand(name)
	}
	if len(l.knownHosts) > 0 {
		h.UserKnownHosts, h.GlobalKnownHosts = slices.Clone(l.knownHosts), nil
	}
	for _, list := range [][]string{h.UserKnownHosts, h.GlobalKnownHosts} {
		for i, name := range list {
			list[i] = expandHome(name)
		}
	}
	h.RevokedHostKeys = expandHome(h.RevokedHostKeys)
	switch agent := h.IdentityAgent; {
	case agent == "" || agent == "SSH_AUTH_SOCK":
		h.IdentityAgent = cmp.Or(os.Getenv("SSH_AUTH_SOCK"), defaultAgent)
	case agent == "none":
		h.IdentityAgent = ""
	case strings.HasPrefix(agent, "$") && !strings.HasPrefix(agent, "${"):
		h.IdentityAgent = os.Getenv(agent[1:])
	default:
		h.IdentityAgent = h.expand(agent)
	}
	return nil
}
