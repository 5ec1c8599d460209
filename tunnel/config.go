package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// host is one ssh server as ssh's configuration describes it (ssh_config(5)).
type host struct {
	Alias        string // as the user wrote it
	HostName     string
	User         string
	Port         string
	HostKeyAlias string

	IdentityFiles  []string // with tokens expanded; may not exist
	IdentitiesOnly bool
	IdentityAgent  string // socket path, "" for none

	UserKnownHosts   []string
	GlobalKnownHosts []string
	StrictHostKey    string // yes, no, ask, accept-new
	HashKnownHosts   bool

	ProxyJump      string
	ProxyCommand   string
	ConnectTimeout time.Duration
	AddressFamily  string // tcp, tcp4, tcp6
}

// addr is host:port for dialling.
func (h *host) addr() string { return net.JoinHostPort(h.HostName, h.Port) }

// String is the server as errors name it.
func (h *host) String() string { return h.User + "@" + h.addr() }

// lookup holds what the command line adds to ssh's configuration.
type lookup struct {
	configFile string   // -F
	identities []string // -i
	knownHosts []string // --known-hosts
}

// resolve asks OpenSSH itself (ssh -G) what a destination means: Match,
// Include, canonical names and tokens are its business, not ours. Where there
// is no ssh program only its defaults are used.
func (l lookup) resolve(ctx context.Context, destination string) (*host, error) {
	target, port, err := splitDestination(destination)
	if err != nil {
		return nil, &Error{Kind: KindConfig, Host: destination, Err: err, Hint: "write it as [USER@]HOST[:PORT] or the name of a Host in ~/.ssh/config"}
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		if l.configFile != "" {
			return nil, &Error{Kind: KindConfig, Host: destination, Err: errors.New("-F needs the ssh program, and none is on PATH"), Hint: "install OpenSSH's client, or leave -F out"}
		}
		return l.defaults(target, port)
	}
	args := []string{"-G"}
	if l.configFile != "" {
		args = append(args, "-F", l.configFile)
	}
	if port != "" {
		args = append(args, "-p", port)
	}
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, ssh, append(args, "--", target)...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = err.Error()
		}
		return nil, &Error{Kind: KindConfig, Host: destination, Err: fmt.Errorf("ssh -G: %s", strings.Join(strings.Fields(said), " ")), Hint: "mend ~/.ssh/config"}
	}
	h := parseG(&out)
	h.Alias = bareHost(target)
	return h, l.finish(h)
}

// defaults is what ssh would use with an empty configuration.
func (l lookup) defaults(target, port string) (*host, error) {
	h := &host{Alias: bareHost(target), HostName: bareHost(target), Port: port, StrictHostKey: "ask", IdentityAgent: "SSH_AUTH_SOCK"}
	if name, _, ok := cutLast(target, "@"); ok {
		h.User = name
	}
	for _, name := range []string{"id_rsa", "id_ecdsa", "id_ed25519"} {
		h.IdentityFiles = append(h.IdentityFiles, "~/.ssh/"+name)
	}
	h.UserKnownHosts = []string{"~/.ssh/known_hosts"}
	h.GlobalKnownHosts = []string{"/etc/ssh/ssh_known_hosts"}
	return h, l.finish(h)
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
	if len(l.identities) > 0 {
		h.IdentityFiles = l.identities
		for _, name := range l.identities {
			if _, err := os.Stat(name); err != nil {
				return &Error{Kind: KindConfig, Host: h.String(), Err: fmt.Errorf("identity file: %w", err), Hint: "give -i a private key file that exists"}
			}
		}
	}
	if len(l.knownHosts) > 0 {
		h.UserKnownHosts, h.GlobalKnownHosts = l.knownHosts, nil
	}
	for _, list := range [][]string{h.IdentityFiles, h.UserKnownHosts, h.GlobalKnownHosts} {
		for i := range list {
			list[i] = h.expand(list[i])
		}
	}
	switch agent := h.IdentityAgent; {
	case agent == "SSH_AUTH_SOCK":
		h.IdentityAgent = os.Getenv("SSH_AUTH_SOCK")
	case agent == "none":
		h.IdentityAgent = ""
	case strings.HasPrefix(agent, "$"):
		h.IdentityAgent = os.Getenv(strings.Trim(agent, "${}"))
	default:
		h.IdentityAgent = h.expand(agent)
	}
	return nil
}

// expand replaces ~ and the tokens of ssh_config(5), section TOKENS, that make
// sense in file names.
func (h *host) expand(s string) string {
	home, _ := os.UserHomeDir()
	if s == "~" || strings.HasPrefix(s, "~/") {
		s = filepath.Join(home, s[1:])
	}
	if !strings.Contains(s, "%") {
		return s
	}
	local := ""
	if u, err := user.Current(); err == nil {
		local = u.Username
	}
	return strings.NewReplacer("%%", "%", "%d", home, "%h", h.HostName, "%n", h.Alias,
		"%p", h.Port, "%r", h.User, "%u", local, "%k", h.keyName()).Replace(s)
}

// keyName is the name under which known_hosts has the server's key.
func (h *host) keyName() string {
	if h.HostKeyAlias != "" {
		return h.HostKeyAlias
	}
	return h.HostName
}

// parseG reads the "keyword value" lines of ssh -G. Keywords of no concern are
// passed over.
func parseG(out *bytes.Buffer) *host {
	h := &host{AddressFamily: "tcp"}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		switch key {
		case "hostname":
			h.HostName = value
		case "user":
			h.User = value
		case "port":
			h.Port = value
		case "hostkeyalias":
			h.HostKeyAlias = value
		case "identityfile":
			h.IdentityFiles = append(h.IdentityFiles, value)
		case "identitiesonly":
			h.IdentitiesOnly = value == "yes"
		case "identityagent":
			h.IdentityAgent = value
		case "userknownhostsfile":
			h.UserKnownHosts = notNone(strings.Fields(value))
		case "globalknownhostsfile":
			h.GlobalKnownHosts = notNone(strings.Fields(value))
		case "stricthostkeychecking":
			h.StrictHostKey = map[string]string{"true": "yes", "false": "no", "off": "no"}[value]
			if h.StrictHostKey == "" {
				h.StrictHostKey = value
			}
		case "hashknownhosts":
			h.HashKnownHosts = value == "yes"
		case "proxyjump":
			h.ProxyJump = value
		case "proxycommand":
			h.ProxyCommand = value
		case "connecttimeout":
			if seconds, err := strconv.Atoi(value); err == nil {
				h.ConnectTimeout = time.Duration(seconds) * time.Second
			}
		case "addressfamily":
			h.AddressFamily = map[string]string{"inet": "tcp4", "inet6": "tcp6"}[value]
			if h.AddressFamily == "" {
				h.AddressFamily = "tcp"
			}
		}
	}
	if h.ProxyJump == "none" {
		h.ProxyJump = ""
	}
	if h.ProxyCommand == "none" {
		h.ProxyCommand = ""
	}
	if h.IdentityAgent == "" {
		h.IdentityAgent = "SSH_AUTH_SOCK"
	}
	return h
}

func notNone(files []string) []string {
	if len(files) == 1 && files[0] == "none" {
		return nil
	}
	return files
}

// splitDestination takes [user@]host[:port] or ssh://[user@]host[:port] apart
// into what ssh takes as its destination and a port, "" if none was given.
func splitDestination(s string) (target, port string, err error) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	userPart, hostPart := "", s
	if u, h, ok := cutLast(s, "@"); ok {
		userPart, hostPart = u+"@", h
	}
	switch {
	case strings.HasPrefix(hostPart, "["):
		end := strings.Index(hostPart, "]")
		if end < 0 {
			return "", "", errors.New("a [ without its ]")
		}
		rest := hostPart[end+1:]
		hostPart = hostPart[1:end]
		if rest != "" && !strings.HasPrefix(rest, ":") {
			return "", "", fmt.Errorf("unexpected %q after ]", rest)
		}
		port = strings.TrimPrefix(rest, ":")
		if rest == ":" {
			return "", "", errors.New("a colon without a port")
		}
	case strings.Count(hostPart, ":") == 1:
		hostPart, port, _ = strings.Cut(hostPart, ":")
		if port == "" {
			return "", "", errors.New("a colon without a port")
		}
	}
	if port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", "", fmt.Errorf("%q is not a port", port)
		}
	}
	// A destination goes to ssh's command line and into ProxyCommand: what
	// could be read as an option or by a shell is not a host name.
	if hostPart == "" {
		return "", "", errors.New("no host name")
	}
	if strings.HasPrefix(userPart, "-") || strings.HasPrefix(hostPart, "-") ||
		strings.ContainsAny(userPart+hostPart, " \t\r\n'\"`$;&|<>(){}\\*?!#/") {
		return "", "", errors.New("not a host name")
	}
	return userPart + hostPart, port, nil
}

// cutLast cuts around the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func bareHost(target string) string {
	if _, h, ok := cutLast(target, "@"); ok {
		return h
	}
	return target
}
