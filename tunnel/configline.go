package tunnel

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// isCommand reports keywords whose value is the rest of the line as it stands.
func isCommand(key string) bool {
	return slices.Contains([]string{"proxycommand", "localcommand", "remotecommand", "knownhostscommand"}, key)
}

// splitKeyword takes a line apart into its keyword, in lower case, and the
// rest; "" for an empty line or a comment.
func splitKeyword(line string) (key, rest string) {
	line = strings.Trim(line, " \t\r\n\f")
	if line == "" || line[0] == '#' {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		end = len(line)
	}
	rest = strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	return strings.ToLower(line[:end]), rest
}

// splitArguments splits at spaces; quotes of both kinds hold an argument
// together, a backslash makes the next quote, backslash or space ordinary, and
// # begins a comment.
func splitArguments(s string) ([]string, error) {
	var args []string
	var word strings.Builder
	var quote byte
	inWord := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`"'\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
			i++
			word.WriteByte(s[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				args = append(args, word.String())
				word.Reset()
				inWord = false
			}
		case quote == 0 && c == '#' && !inWord:
			return args, nil
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote without its end")
	}
	if inWord {
		args = append(args, word.String())
	}
	return args, nil
}

// matchHost reports whether the patterns of a Host line match: one at least,
// and none with ! before it.
func matchHost(patterns []string, alias string) bool {
	matched := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if ok, _ := path.Match(escapeClasses(p), alias); !ok {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// escapeClasses leaves * and ? as the only wildcards, as in ssh_config(5).
func escapeClasses(pattern string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(pattern)
}
