package tunnel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

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
	if userPart == "@" {
		return "", "", errors.New("no user name before the @")
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
