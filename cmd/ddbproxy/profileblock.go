package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// awsProfile is what configure writes into ~/.aws/config.
type awsProfile struct {
	name, region, process, url string
	of                         string // the session's profile that signs, "" for its first
}

// A block is our lines between two comments that name the profile, so that it is
// found again whatever is written around it. A file whose last line has no end
// has none behind the block either: taking the block out, with the newline
// before it then, leaves the file as it was.

func beginMark(name string) string {
	return "# begin of " + name + ", written by ddbproxy; ddbproxy configure " + name + " --undo removes it"
}

func endMark(name string) string { return "# end of " + name + ", written by ddbproxy" }

// text is the block, without a newline at its end.
func (p awsProfile) text() string {
	return strings.Join([]string{
		beginMark(p.name),
		"[profile " + p.name + "]",
		"region = " + p.region,
		"credential_process = " + p.process,
		"services = " + p.name,
		"[services " + p.name + "]",
		"dynamodb =",
		"  endpoint_url = " + p.url,
		"dynamodb_streams =",
		"  endpoint_url = " + p.url,
		endMark(p.name),
	}, "\n")
}

var (
	errForeignProfile = errors.New("has a profile or services section of this name that ddbproxy did not write")
	errBrokenBlock    = errors.New("has a part of what ddbproxy wrote, not all of it in one piece")
)

// put gives file with the block in it, in place of an earlier one or at the end.
func (p awsProfile) put(file []byte) ([]byte, error) {
	start, end, err := findBlock(file, p.name)
	if err != nil {
		return nil, err
	}
	if hasSection(file[:start], p.name) || hasSection(file[end:], p.name) {
		return nil, errForeignProfile
	}
	newline := newlineOf(file)
	if start < end {
		newline = newlineOf(file[start:end])
	}
	block := strings.ReplaceAll(p.text(), "\n", newline)
	switch {
	case start < end: // as it was ended
	case len(file) > 0 && !bytes.HasSuffix(file, []byte("\n")):
		block = newline + block
	default:
		block += newline
	}
	return bytes.Join([][]byte{file[:start], []byte(block), file[end:]}, nil), nil
}

// newlineOf is how the first line of text ends.
func newlineOf(text []byte) string {
	if first := bytes.IndexByte(text, '\n'); first > 0 && text[first-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// removeBlock gives file without the block of a profile; found tells whether it
// had one.
func removeBlock(file []byte, name string) (rest []byte, found bool, err error) {
	start, end, err := findBlock(file, name)
	if err != nil || start == end {
		return file, false, err
	}
	before, after := file[:start], file[end:]
	newline := []byte(newlineOf(file[start:end]))
	if len(after) == 0 {
		before = bytes.TrimSuffix(before, newline)
	} else {
		after = bytes.TrimPrefix(after, newline)
	}
	return append(bytes.Clone(before), after...), true, nil
}

// findBlock is where the block of a profile begins and ends, without its last
// newline; without one it is the end of the file.
func findBlock(file []byte, name string) (start, end int, err error) {
	starts, ends := lineAt(file, beginMark(name)), lineAt(file, endMark(name))
	switch {
	case len(starts)+len(ends) == 0:
		return len(file), len(file), nil
	case len(starts) != 1 || len(ends) != 1 || ends[0] < starts[0]:
		return 0, 0, errBrokenBlock
	}
	return starts[0], ends[0] + len(endMark(name)), nil
}

// lineAt are the places of the lines that say text.
func lineAt(file []byte, text string) (places []int) {
	place := 0
	for line := range bytes.Lines(file) {
		length := len(line)
		line, _ := bytes.CutSuffix(line, []byte("\n"))
		if string(bytes.TrimSuffix(line, []byte("\r"))) == text {
			places = append(places, place)
		}
		place += length
	}
	return places
}

// sectionHeader is [profile NAME], [services NAME] or [NAME], as loosely as the
// loosest of the tools reads it.
var sectionHeader = regexp.MustCompile(`^\s*\[\s*(?:(profile|services)\s+)?["']?([^\]"']*?)["']?\s*\]`)

// hasSection reports whether there is a profile or services section of a name.
func hasSection(file []byte, name string) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(file, []byte("\ufeff"))) {
		if m := sectionHeader.FindSubmatch(line); m != nil && string(m[2]) == name {
			return true
		}
	}
	return false
}

// profileName is what every tool takes for a name without quotes.
var profileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// checkProfileName refuses what would not work, or would do harm.
func checkProfileName(name string) error {
	switch {
	case name == "default":
		return usageError("take another name and say aws --profile NAME", "the default profile is for all of AWS, which does not know a session's key")
	case !profileName.MatchString(name):
		return usageError("letters, digits and . _ - are taken", "%q is not a name for a profile", name)
	}
	return nil
}

// processCommand is how AWS tools run ddbproxy credentials. Some give the line
// to a shell and some split it themselves; all know double quotes.
func processCommand(program, port, profile string) (string, error) {
	if strings.ContainsAny(program, "\"$`%!#;'\r\n") || strings.Contains(program, `\`) && !isWindows {
		return "", &exitError{exitFailed, fmt.Errorf("AWS tools could not run %s: its path has a character that they take differently", program), "move ddbproxy to another directory"}
	}
	if strings.ContainsAny(program, " \t()&[]{}^=,+~*?<>|") {
		program = `"` + program + `"`
	}
	command := program + " credentials --local-port " + port
	switch {
	case profile == "":
		return command, nil
	case !profileName.MatchString(profile):
		return "", usageError("rename the profile to letters, digits and . _ -", "--profile %s: AWS tools could not run a command with this name in it", profile)
	}
	return command + " --profile " + profile, nil
}
