package tunnel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// systemConfig is the file that applies to all users of a machine.
const systemConfig = "/etc/ssh/ssh_config"

// readFiles reads ssh's configuration files here. Host, Include and the
// keywords are as ssh_config(5) says; Match is refused, since to pass over it
// could mean to connect elsewhere or to trust another key.
func (l lookup) readFiles(target, port string) (options, error) {
	r := configReader{alias: bareHost(target), options: make(options)}
	if name, _, ok := cutLast(target, "@"); ok {
		r.options["user"] = []string{name}
	}
	if port != "" {
		r.options["port"] = []string{port}
	}
	if l.configFile != "" {
		if err := r.file(l.configFile, expandHome("~/.ssh"), true, 0); err != nil {
			return nil, err
		}
	} else {
		for _, name := range []string{expandHome("~/.ssh/config"), systemConfig} {
			if err := r.file(name, filepath.Dir(name), true, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	r.complete()
	return r.options, nil
}

// configReader gathers what applies to alias; the first value of a keyword
// counts.
type configReader struct {
	alias   string
	options options
}

// file reads one file. applies is whether the Host that includes it matches.
func (r *configReader) file(name, base string, applies bool, depth int) error {
	if depth > 16 {
		return fmt.Errorf("%s: more than 16 levels of Include", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	matching := applies
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		key, rest := splitKeyword(line)
		if key == "" {
			continue
		}
		args, err := splitArguments(rest)
		if isCommand(key) {
			args, err = []string{rest}, nil
		}
		if err == nil && len(args) == 0 {
			err = errors.New("no value")
		}
		switch {
		case err != nil:
		case key == "match":
			err = errors.New("only OpenSSH can evaluate that, and its ssh program is not on PATH")
		case key == "host":
			matching = applies && matchHost(args, r.alias)
		case key == "include":
			err = r.include(args, base, matching, depth)
		case matching:
			r.set(key, args)
		}
		var known *lineError
		if err != nil && !errors.As(err, &known) { // an included file's error has its place already
			err = &lineError{name, number, key, err}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lineError is an error in a configuration file, with its place.
type lineError struct {
	file string
	line int
	key  string
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("%s:%d: %s: %v", e.file, e.line, e.key, e.err) }
func (e *lineError) Unwrap() error { return e.err }

func (r *configReader) include(patterns []string, base string, applies bool, depth int) error {
	for _, pattern := range patterns {
		pattern = expandHome(pattern)
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(base, pattern)
		}
		names, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("%s: %w", pattern, err)
		}
		for _, name := range names {
			if err := r.file(name, base, applies, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// set notes a value that applies.
func (r *configReader) set(key string, args []string) {
	switch {
	case key == "identityfile" || key == "certificatefile":
		if !slices.Contains(r.options[key], args[0]) {
			r.options[key] = append(r.options[key], args[0])
		}
		return
	case key == "proxyjump" || key == "proxycommand": // whichever comes first
		if r.options["proxyjump"] != nil || r.options["proxycommand"] != nil {
			return
		}
	case r.options[key] != nil:
		return
	case isFileList(key):
		r.options[key] = args
		return
	}
	r.options[key] = args[:1]
}

// complete adds defaults and expands what ssh -G would have.
func (r *configReader) complete() {
	name := r.options.one("hostname")
	if name == "" {
		name = r.alias
	}
	name = strings.ToLower(strings.NewReplacer("%%", "%", "%h", r.alias).Replace(name))
	r.options["hostname"] = []string{name}
	if r.options["identityfile"] == nil {
		for _, kind := range []string{"rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk"} {
			r.options["identityfile"] = append(r.options["identityfile"], "~/.ssh/id_"+kind)
		}
	}
	h := host{Alias: r.alias, HostName: name, User: r.options.one("user"), Port: r.options.one("port"), HostKeyAlias: r.options.one("hostkeyalias")}
	if h.Port == "" {
		h.Port = "22"
	}
	if u, err := user.Current(); err == nil && h.User == "" {
		h.User = u.Username
	}
	for i, file := range r.options["userknownhostsfile"] {
		r.options["userknownhostsfile"][i] = h.expand(file)
	}
	if r.options["userknownhostsfile"] == nil {
		r.options["userknownhostsfile"] = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
	if r.options["globalknownhostsfile"] == nil {
		r.options["globalknownhostsfile"] = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	for option, known := range algorithmOptions() {
		key := strings.ToLower(option)
		if spec := r.options.one(key); spec != "" {
			r.options[key] = []string{assemble(spec, known.secure)}
		}
	}
}
