package relayd

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// PolicyFile is where the administrator of a bastion writes what relays there
// may do. It holds beside the flags, and beside a file of -policy.
const PolicyFile = "/etc/ddbproxy/relay.toml"

// policy is one such file. What is missing in it limits nothing, but for
// interface endpoints: those not listed are another account's for all we know.
// What is there and says nothing (an empty list, 0) is an error: it may be meant
// as "none".
type policy struct {
	Regions     []string `toml:"regions"`
	Endpoints   []string `toml:"endpoints"` // kinds of names
	VPCE        []string `toml:"vpce"`
	Prefixes    []string `toml:"prefixes"`
	Private     bool     `toml:"private"`
	Connections *int     `toml:"connections"` // open at a time, of one account
	Bandwidth   *int64   `toml:"bandwidth"`   // bytes a second of one relay, both directions together
	Idle        *string  `toml:"idle"`        // after which a silent connection is closed
	Lifetime    *string  `toml:"lifetime"`    // after which the relay ends
	Audit       bool     `toml:"audit"`
}

// rules are what the flags or a file say. A connection has to pass all of them.
type rules struct {
	file      string // empty: the flags
	allow     endpoint.Allow
	addresses endpoint.Addresses
	limits    limits
	audit     bool
}

// maxFile bounds a file that is read, in bytes.
const maxFile = 1 << 20

// loadPolicies reads the machine's file, if there is one, and the one named by
// -policy, which has to be there.
func loadPolicies(machine, named string) ([]rules, error) {
	var all []rules
	for _, file := range []string{machine, named} {
		if file == "" {
			continue
		}
		text, err := readFile(file)
		if file == machine && errors.Is(err, os.ErrNotExist) {
			if err = dangling(file); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		r, err := parsePolicy(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%w; its administrator has to mend it", file, err)
		}
		r.file = file
		all = append(all, r)
	}
	return all, nil
}

// dangling gives an error where a file is missing because it, or a directory on
// the way to it, is a link to what is not there: it may limit what nobody mounted.
func dangling(file string) error {
	for path := file; ; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); err == nil {
			if _, err = os.Stat(path); err != nil {
				to, _ := os.Readlink(path) // empty if it went just now
				return fmt.Errorf("%s is a link to %s, which is not there; its administrator has to mend it", path, to)
			}
			return nil
		}
		if filepath.Dir(path) == path {
			return nil
		}
	}
}

// readFile reads a file that may be anything.
func readFile(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: larger than %d bytes", file, maxFile)
	}
	return string(text), err
}

// parsePolicy reads a file's text. The error begins with the line.
func parsePolicy(text string) (rules, error) {
	var p policy
	err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&p)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		line, _ := unknown.Errors[0].Position()
		return rules{}, fmt.Errorf("%d: there is no setting %s", line, strings.Join(unknown.Errors[0].Key(), "."))
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		return rules{}, fmt.Errorf("%d: %s", line, strings.TrimPrefix(wrong.Error(), "toml: "))
	case err != nil:
		return rules{}, fmt.Errorf("1: %w", err)
	}
	r, key, err := p.rules()
	if err != nil {
		return rules{}, fmt.Errorf("%d: %s: %w", lineOf(text, key), key, err)
	}
	return r, nil
}

// lineOf is where a setting begins. All settings are at the top level.
func lineOf(text, key string) int {
	n := 1
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " \t\"'"), key) {
			return n
		}
		n++
	}
	return 1
}

// rules checks the values. An error comes with the key of what is wrong.
func (p policy) rules() (r rules, key string, err error) {
	for _, list := range []struct {
		key    string
		values []string
	}{{"regions", p.Regions}, {"endpoints", p.Endpoints}, {"prefixes", p.Prefixes}} {
		if list.values != nil && len(list.values) == 0 {
			return r, list.key, errors.New("an empty list; leave it out to limit nothing")
		}
	}
	for _, region := range p.Regions {
		if _, err := endpoint.Host(endpoint.DynamoDB, region, false, false); err != nil {
			return r, "regions", err
		}
	}
	for _, name := range p.Endpoints {
		if !slices.Contains(endpoint.Kinds, endpoint.Kind(name)) {
			return r, "endpoints", fmt.Errorf("%q is none of %q", name, endpoint.Kinds)
		}
		r.allow.Kinds = append(r.allow.Kinds, endpoint.Kind(name))
	}
	for _, id := range p.VPCE {
		if !endpoint.IsVPCE(id) {
			return r, "vpce", fmt.Errorf("%q is no interface endpoint's id or name, such as vpce-0abc123", id)
		}
	}
	r.allow.Regions, r.allow.VPCE = p.Regions, p.VPCE
	if r.addresses.Prefixes, err = parsePrefixes(p.Prefixes); err != nil {
		return r, "prefixes", err
	}
	r.addresses.Private, r.audit = p.Private, p.Audit
	if p.Connections != nil {
		if r.limits.connections = *p.Connections; *p.Connections < 1 {
			return r, "connections", errors.New("a number of 1 or more")
		}
	}
	if p.Bandwidth != nil {
		if r.limits.bandwidth = *p.Bandwidth; *p.Bandwidth < minBandwidth {
			return r, "bandwidth", fmt.Errorf("bytes a second, %d or more", minBandwidth)
		}
	}
	if r.limits.idle, err = parseLimit(p.Idle); err != nil {
		return r, "idle", err
	}
	if r.limits.lifetime, err = parseLimit(p.Lifetime); err != nil {
		return r, "lifetime", err
	}
	return r, "", nil
}

// parseLimit reads a duration. A shorter one than a minute would end what
// ddbproxy keeps ready, and make it busy.
func parseLimit(s *string) (time.Duration, error) {
	if s == nil {
		return 0, nil
	}
	d, err := time.ParseDuration(*s)
	if err != nil || d < time.Minute {
		return 0, fmt.Errorf("%q is no duration of a minute or more, such as 10m or 8h", *s)
	}
	return d, nil
}

// parsePrefixes reads prefixes such as 52.94.24.0/23.
func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() { // which no address is within
			return nil, fmt.Errorf("%q is no prefix such as 52.94.24.0/23", text)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// allowed asks all rules about a target.
func allowed(all []rules, target string) error {
	for _, r := range all {
		if err := r.allow.Check(target); err != nil {
			if r.file != "" {
				err = fmt.Errorf("%w (%s on the bastion)", err, r.file)
			}
			return err
		}
	}
	return nil
}
