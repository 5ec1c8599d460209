package tunnel

import (
	"crypto/sha1"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
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
	AbsentHint   string // what to do if nothing answers; not from the configuration

	IdentityFiles    []string // with tokens expanded; may not exist
	CertificateFiles []string
	IdentitiesOnly   bool
	IdentityAgent    string // socket path, "" for none

	Methods         []string // of login that are enabled, the preferred first
	PasswordPrompts int
	BatchMode       bool
	Quiet           bool     // LogLevel below INFO: no banner
	Unsupported     []string // methods that are enabled and not there

	UserKnownHosts   []string
	GlobalKnownHosts []string
	RevokedHostKeys  string
	StrictHostKey    string // yes, no, ask, accept-new
	HashKnownHosts   bool
	CheckHostIP      bool

	Algorithms algorithms

	ProxyJump      string
	ProxyCommand   string
	ConnectTimeout time.Duration // 0 where not configured
	AliveInterval  time.Duration // 0 where not configured
	AliveCountMax  int
	AddressFamily  string // tcp, tcp4, tcp6
	BindAddress    string
	BindInterface  string

	hash  string // what %C stands for, as far as ssh told: its versions differ
	Fleet bool   // the name stands for several addresses, as far as was looked

	// Warnings name what is configured and not honoured here, where that
	// weakens security or would surprise.
	Warnings []string
}

// addr is host:port for dialling.
func (h *host) addr() string { return net.JoinHostPort(h.HostName, h.Port) }

// String is the server as errors name it.
func (h *host) String() string { return h.User + "@" + h.addr() }

// way is how the server is reached, for people.
func (h *host) way() string {
	switch {
	case h.ProxyCommand != "":
		return h.String() + " by its ProxyCommand"
	case h.ProxyJump != "":
		return h.String() + " through " + h.ProxyJump
	}
	return h.String()
}

// timeout is how long the server may stay silent until login is through.
func (h *host) timeout() time.Duration {
	if h.ConnectTimeout > 0 {
		return h.ConnectTimeout
	}
	return connectTimeout
}

var environmentVariable = regexp.MustCompile(`\$\{(\w+)\}`)

// expand replaces ~, ${VARIABLE} and the tokens of ssh_config(5), section
// TOKENS, that make sense in file names.
func (h *host) expand(s string) string {
	home, _ := os.UserHomeDir()
	s = expandHome(s)
	s = environmentVariable.ReplaceAllStringFunc(s, func(v string) string { return os.Getenv(v[2 : len(v)-1]) })
	if !strings.Contains(s, "%") {
		return s
	}
	local := ""
	if u, err := user.Current(); err == nil {
		local = u.Username
	}
	machine, _ := os.Hostname()
	short, _, _ := strings.Cut(machine, ".")
	key := h.Alias
	if h.HostKeyAlias != "" {
		key = h.HostKeyAlias
	}
	hash := h.hash
	if hash == "" {
		hash = fmt.Sprintf("%x", sha1.Sum([]byte(machine+h.HostName+h.Port+h.User+h.ProxyJump)))
	}
	return strings.NewReplacer("%%", "%", "%C", hash, "%d", home, "%h", h.HostName, "%n", h.Alias,
		"%p", h.Port, "%r", h.User, "%u", local, "%k", key, "%l", machine, "%L", short,
		"%i", strconv.Itoa(os.Getuid()), "%j", h.ProxyJump).Replace(s)
}

// expandJump replaces the tokens that ProxyJump may hold.
func (h *host) expandJump() string {
	return strings.NewReplacer("%%", "%", "%h", h.HostName, "%n", h.Alias, "%p", h.Port, "%r", h.User).Replace(h.ProxyJump)
}

// expandHome replaces ~ at the beginning.
func expandHome(s string) string {
	if s == "~" || strings.HasPrefix(s, "~/") {
		home, _ := os.UserHomeDir()
		return filepath.Join(home, s[1:])
	}
	return s
}
