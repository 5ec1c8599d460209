package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Protocol is the version of what is spoken after the hello lines. Both sides
// must agree on it; it changes only when an old peer would misunderstand.
const Protocol = 1

const (
	clientRole = "ddbproxy"
	serverRole = "ddbproxy-relay"

	// maxHello bounds one line and maxNoise everything before the hello: a
	// chatty profile is skipped, a program that floods is not read for ever.
	maxHello = 1 << 10
	maxNoise = 64 << 10
)

// Hello is the line with which each side opens: a role, the protocol version
// and the program's own version.
type Hello struct {
	Role     string
	Protocol int
	Version  string
}

// String gives the line without its newline.
func (h Hello) String() string {
	if h.Version == "" {
		h.Version = "devel"
	}
	return fmt.Sprintf("%s %d %s", h.Role, h.Protocol, h.Version)
}

var errNotHello = errors.New("not a hello line")

// parseHello reads a line that must be exactly "ROLE PROTOCOL VERSION". A
// carriage return before the newline is allowed: a pty may have added it.
func parseHello(line string) (Hello, error) {
	fields := strings.Split(strings.TrimSuffix(line, "\r"), " ")
	if len(fields) != 3 || (fields[0] != clientRole && fields[0] != serverRole) {
		return Hello{}, errNotHello
	}
	protocol, err := strconv.Atoi(fields[1])
	if err != nil || protocol < 1 || strconv.Itoa(protocol) != fields[1] {
		return Hello{}, errNotHello
	}
	version := fields[2]
	if version == "" || len(version) > 64 || Printable(version, 64) != version {
		return Hello{}, errNotHello
	}
	return Hello{Role: fields[0], Protocol: protocol, Version: version}, nil
}

// readHello skips lines until one is a hello of the given role, and returns
// what it skipped, fit for a terminal: when no hello comes, that text (a shell's
// "command not found", say) is the best explanation there is.
func readHello(r *bufio.Reader, role string) (h Hello, noise string, err error) {
	var skipped strings.Builder
	for skipped.Len() < maxNoise {
		line, err := readLine(r)
		if h, herr := parseHello(line); herr == nil && h.Role == role && err == nil {
			return h, "", nil
		}
		skipped.WriteString(line)
		skipped.WriteByte('\n')
		if err != nil {
			return Hello{}, lastWords(skipped.String()), err
		}
	}
	return Hello{}, lastWords(skipped.String()), fmt.Errorf("no hello in the first %d bytes", maxNoise)
}

// lastWords keeps the end of a text: behind a long greeting stands the error.
func lastWords(s string) string {
	s = Printable(s, len(s))
	if extra := len(s) - 300; extra > 0 {
		s = strings.ToValidUTF8(s[extra:], "")
	}
	return s
}

// readLine reads up to a newline or maxHello bytes, whichever is first.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for len(line) < maxHello {
		b, err := r.ReadByte()
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return string(line), err
		}
		if b == '\n' {
			break
		}
		line = append(line, b)
	}
	return string(line), nil
}

// Printable makes text from the other side safe for a terminal and a log: one
// line, no control characters, at most max bytes.
func Printable(s string, max int) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case !strconv.IsPrint(r):
			return -1
		}
		return r
	}, s)
	clean = strings.Join(strings.Fields(clean), " ")
	if len(clean) > max {
		clean = strings.ToValidUTF8(clean[:max], "")
	}
	return clean
}
