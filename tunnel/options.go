package tunnel

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the values of ssh_config(5)'s keywords for one host, by keyword
// in lower case. A keyword that may be repeated has several; so have lists of
// files. What is not set is the default.
type options map[string][]string

// one is the value of a keyword that has one, "" for none and "none".
func (o options) one(key string) string {
	if len(o[key]) == 0 || strings.EqualFold(o[key][0], "none") {
		return ""
	}
	return o[key][0]
}

// is reports a switch that is on.
func (o options) is(key string) bool { return isYes(o.one(key)) }

// isOff reports a switch that is off, where it is on by default.
func (o options) isOff(key string) bool {
	return slices.Contains([]string{"no", "false"}, strings.ToLower(o.one(key)))
}

func isYes(value string) bool {
	return slices.Contains([]string{"yes", "true"}, strings.ToLower(value))
}

// files is a list of files, none where it says so.
func (o options) files(key string) []string {
	return slices.DeleteFunc(slices.Clone(o[key]), func(f string) bool { return strings.EqualFold(f, "none") })
}

func isFileList(key string) bool {
	return key == "userknownhostsfile" || key == "globalknownhostsfile"
}

// loginMethods is OpenSSH's default order of PreferredAuthentications.
const loginMethods = "gssapi-with-mic,hostbased,publickey,keyboard-interactive,password"

// host is what the options come to. File names keep their tokens.
func (o options) host(alias string) (*host, error) {
	h := &host{
		Alias: alias, HostName: o.one("hostname"), User: o.one("user"), Port: o.one("port"),
		HostKeyAlias:     o.one("hostkeyalias"),
		hash:             o.one(hashOption),
		IdentityFiles:    o.files("identityfile"),
		CertificateFiles: o.files("certificatefile"),
		IdentitiesOnly:   o.is("identitiesonly"),
		PasswordPrompts:  3,
		BatchMode:        o.is("batchmode"),
		Quiet:            slices.Contains([]string{"SILENT", "QUIET", "FATAL", "ERROR"}, strings.ToUpper(o.one("loglevel"))),
		UserKnownHosts:   o.files("userknownhostsfile"),
		GlobalKnownHosts: o.files("globalknownhostsfile"),
		RevokedHostKeys:  o.one("revokedhostkeys"),
		HashKnownHosts:   o.is("hashknownhosts"),
		CheckHostIP:      o.is("checkhostip"),
		ProxyJump:        o.one("proxyjump"),
		ProxyCommand:     o.one("proxycommand"),
		AliveCountMax:    3,
		BindAddress:      o.one("bindaddress"),
		BindInterface:    o.one("bindinterface"),
	}
	// "none" is an answer of its own here: no agent.
	if agent := o["identityagent"]; len(agent) > 0 {
		h.IdentityAgent = agent[0]
	}
	switch strict := strings.ToLower(o.one("stricthostkeychecking")); strict {
	case "":
		h.StrictHostKey = "ask"
	case "true":
		h.StrictHostKey = "yes"
	case "false", "off":
		h.StrictHostKey = "no"
	default:
		h.StrictHostKey = strict
	}
	h.AddressFamily = map[string]string{"inet": "tcp4", "inet6": "tcp6"}[strings.ToLower(o.one("addressfamily"))]
	if h.AddressFamily == "" {
		h.AddressFamily = "tcp"
	}
	var err error
	number := func(key string, n *int) {
		if value := o.one(key); value != "" && err == nil {
			if *n, err = strconv.Atoi(value); err != nil {
				err = fmt.Errorf("%s %q is not a number", key, value)
			}
		}
	}
	duration := func(key string, d *time.Duration) {
		if value := o.one(key); value != "" && err == nil {
			if *d, err = parseTime(value); err != nil {
				err = fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	number("numberofpasswordprompts", &h.PasswordPrompts)
	number("serveralivecountmax", &h.AliveCountMax)
	duration("connecttimeout", &h.ConnectTimeout)
	duration("serveraliveinterval", &h.AliveInterval)
	if err != nil {
		return nil, err
	}
	if o.is("proxyusefdpass") && h.ProxyCommand != "" {
		return nil, errors.New("ProxyUseFdpass hands over a socket, which only OpenSSH can take: give a ProxyCommand that carries the bytes itself")
	}
	o.login(h)
	if h.Algorithms, err = o.algorithms(); err != nil {
		return nil, err
	}
	h.Warnings = o.warnings()
	return h, nil
}

// login sorts the methods of login.
func (o options) login(h *host) {
	preferred := o.one("preferredauthentications")
	if preferred == "" {
		preferred = loginMethods
	}
	for _, m := range strings.Split(preferred, ",") {
		switch m {
		case "publickey":
			if !o.isOff("pubkeyauthentication") {
				h.Methods = append(h.Methods, m)
			}
		case "keyboard-interactive":
			if !o.isOff("kbdinteractiveauthentication") && !o.isOff("challengeresponseauthentication") && h.PasswordPrompts > 0 {
				h.Methods = append(h.Methods, m)
			}
		case "password":
			if !o.isOff("passwordauthentication") && h.PasswordPrompts > 0 {
				h.Methods = append(h.Methods, m)
			}
		case "gssapi-with-mic":
			// Debian's ssh_config has it on: worth a word only once it is missed.
			if o.is("gssapiauthentication") {
				h.Unsupported = append(h.Unsupported, m)
			}
		case "hostbased":
			if o.is("hostbasedauthentication") {
				h.Unsupported = append(h.Unsupported, m)
			}
		}
	}
}

// warnings names options that are set and not honoured.
func (o options) warnings() []string {
	var names []string
	for _, set := range []struct {
		name string
		on   bool
	}{
		{"PKCS11Provider", o.one("pkcs11provider") != ""},
		{"SecurityKeyProvider", o.one("securitykeyprovider") != "" && o.one("securitykeyprovider") != "internal"},
		{"KnownHostsCommand", o.one("knownhostscommand") != ""},
		{"VerifyHostKeyDNS", o.one("verifyhostkeydns") != "" && !o.isOff("verifyhostkeydns")},
		{"CASignatureAlgorithms", o.one("casignaturealgorithms") != ""},
		{"RequiredRSASize", o.one("requiredrsasize") != ""},
		{"Tunnel", o.one("tunnel") != "" && !o.isOff("tunnel")},
		{"LocalCommand", o.one("localcommand") != "" && o.is("permitlocalcommand")},
	} {
		if set.on {
			names = append(names, set.name)
		}
	}
	return names
}

// maxTime is what ssh's own int of seconds holds.
const maxTime = (1<<31 - 1) * time.Second

// parseTime reads ssh_config's times (sshd_config(5), TIME FORMATS): seconds,
// or numbers with units as in 1h30m.
func parseTime(s string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	bad := fmt.Errorf("%q is not a time", s)
	var total time.Duration
	for rest := s; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		if err != nil {
			return 0, bad
		}
		rest = rest[digits:]
		unit := time.Second
		if rest != "" {
			known := false
			if unit, known = units[rest[0]|0x20]; !known {
				return 0, bad
			}
			rest = rest[1:]
		}
		if n > int64(maxTime/unit) || total > maxTime-time.Duration(n)*unit {
			return 0, bad
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}
