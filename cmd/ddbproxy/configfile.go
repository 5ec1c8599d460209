package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ddbproxy/ddbproxy/tunnel"
)

// originKey is the annotation of a flag that was not given and has a value: where
// that comes from, such as DDBPROXY_REGION or config.toml:3.
const originKey = "origin"

// bastionsKey is the one key of a target that is no flag: what connect would
// have as its arguments.
const bastionsKey = "bastions"

// configFile is a file of settings: connect's flags by their names, for all
// sessions at the top and for one in [target.NAME].
type configFile struct {
	name    string
	top     map[string]any
	targets map[string]map[string]any
	keys    []toml.DecodeError // of each key, for its place
}

// configPath is the file to read where none was named.
func configPath() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "ddbproxy", "config.toml"), err
}

// fromFile sets each flag of cmd that has no value yet from the file: from the
// target that args name, else from the top. It gives the bastions that args
// come to. A target goes before a host of its name.
func fromFile(c *console, cmd *cobra.Command, args []string) ([]string, error) {
	flags := cmd.Flags()
	named, _ := flags.GetString("config")
	f, err := readConfig(named)
	if err != nil {
		return nil, err
	}
	bastions := args
	for _, name := range args {
		target, ok := f.targets[name]
		switch {
		case !ok:
			continue
		case len(args) > 1:
			return nil, usageError("name it alone, or give it more bastions", "%s is a target of %s, and there are others beside it", name, f.name)
		}
		if listed, ok := target[bastionsKey]; ok {
			bastions, _ = texts(listed) // checked
		} else if _, ok := target["instance-connect"]; ok {
			bastions = nil
		}
		if err := f.use(flags, target, "target", name); err != nil {
			return nil, err
		}
	}
	if err := f.use(flags, f.top); err != nil {
		return nil, err
	}
	if verbose, _ := flags.GetBool("verbose"); verbose && len(args) == 1 && f.targets[args[0]] != nil {
		c.say("ddbproxy: %s is the target of %s, not a host", args[0], f.name)
	}
	return bastions, nil
}

// bastionsOf are the bastions of the target of a name, or that name as a host.
func (f *configFile) bastionsOf(name string) []string {
	target, ok := f.targets[name]
	if !ok {
		return []string{name}
	}
	bastions, _ := texts(target[bastionsKey]) // checked
	if instance, ok := target["instance-connect"].(string); ok && len(bastions) == 0 {
		bastions = []string{instance[strings.LastIndex(instance, "@")+1:]}
	}
	if len(bastions) == 0 {
		bastions = []string{name} // the target gives a host its settings
	}
	return bastions
}

// orTarget adds to the error of a host that is not there which target was
// probably meant: a target that is mistyped is taken for a host.
func orTarget(cmd *cobra.Command, args []string, err error) error {
	var unreachable *tunnel.Error
	if len(args) != 1 || !errors.As(err, &unreachable) || unreachable.Kind != tunnel.KindUnreachable {
		return err
	}
	named, _ := cmd.Flags().GetString("config")
	f, ferr := readConfig(named)
	if ferr != nil {
		return err
	}
	near := nearest(args[0], slices.Sorted(maps.Keys(f.targets)))
	if near == "" {
		return err
	}
	code, _ := describe(err)
	return &exitError{code, err, "did you mean the target " + near + " of " + f.name + "?"}
}

// readConfig reads and checks a file; "" is the usual one, which need not be
// there.
func readConfig(name string) (*configFile, error) {
	f := &configFile{name: name}
	if name == "" {
		var err error
		if f.name, err = configPath(); err != nil {
			return f, nil // a machine without a home has no settings there
		}
	}
	text, err := os.ReadFile(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && name == "":
		return f, nil
	case err != nil:
		return nil, usageError("give --config (or DDBPROXY_CONFIG) a file that can be read", "configuration: %v", err)
	}
	if info, err := os.Stat(f.name); err != nil || othersWrite(info) { // it names commands to run
		return nil, usageError("chmod go-w, or chown it", "%s: others can change it", f.name)
	}
	if err := f.parse(bytes.TrimPrefix(text, []byte("\ufeff"))); err != nil { // an editor of Windows has a mark in front
		return nil, err
	}
	return f, f.check()
}

func (f *configFile) parse(text []byte) error {
	if err := toml.Unmarshal(text, &f.top); err != nil {
		return f.syntax(err, "it is TOML: region = \"eu-west-1\", and [target.dev] above the settings of one target")
	}
	// A strict reading into targets that have no keys lists every key with its
	// place, which the values do not have.
	var known struct {
		Target map[string]struct{} `toml:"target"`
	}
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&known)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		f.keys = strict.Errors
	} else if err != nil {
		return f.syntax(err, "write [target.NAME] above a target's settings")
	}
	delete(f.top, "target")
	var tables struct {
		Target map[string]map[string]any `toml:"target"`
	}
	if err := toml.Unmarshal(text, &tables); err != nil {
		return f.syntax(err, "write [target.NAME] above a target's settings")
	}
	f.targets = tables.Target
	return nil
}

// syntax words the library's error.
func (f *configFile) syntax(err error, hint string) error {
	place, text := f.name, strings.TrimPrefix(err.Error(), "toml: ")
	var d *toml.DecodeError
	if errors.As(err, &d) {
		row, column := d.Position()
		place = fmt.Sprintf("%s:%d:%d", f.name, row, column)
	}
	return usageError(hint, "%s: %s", place, text)
}

// place is where a key is, FILE:LINE.
func (f *configFile) place(key ...string) string {
	for _, k := range f.keys {
		if at := k.Key(); len(at) >= len(key) && slices.Equal(at[:len(key)], key) {
			row, _ := k.Position()
			return fmt.Sprintf("%s:%d", f.name, row)
		}
	}
	return f.name // the library does not tell for {inline = "tables"}
}

// check looks at every setting, also of the targets that are not used now.
func (f *configFile) check() error {
	if err := f.checkTable(f.top); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(f.targets)) {
		if name == "" || strings.HasPrefix(name, "-") || strings.ContainsAny(name, " \t\r\n") {
			return usageError("take a name that can be typed", "%s: %q is no name for a target", f.place("target", name), name)
		}
		if err := f.checkTable(f.targets[name], "target", name); err != nil {
			return err
		}
	}
	return nil
}

func (f *configFile) checkTable(table map[string]any, in ...string) error {
	flags := newConnect(nil).Flags() // values are tried on flags that nobody uses
	for _, name := range slices.Sorted(maps.Keys(table)) {
		place := f.place(append(in, name)...)
		if name == bastionsKey && len(in) > 0 {
			if list, err := texts(table[name]); err != nil || len(list) == 0 || slices.Contains(list, "") {
				return usageError(`write bastions = ["a", "b"]`, "%s: bastions is not a list of hosts", place)
			}
			continue
		}
		if flag := flags.Lookup(name); flag == nil || !settable(flag) {
			return f.unknown(flags, place, name, len(in) > 0)
		}
	}
	return f.use(flags, table, in...)
}

// unknown is the error for a key that is none.
func (f *configFile) unknown(flags *pflag.FlagSet, place, name string, inTarget bool) error {
	names := []string{}
	flags.VisitAll(func(flag *pflag.Flag) {
		if settable(flag) {
			names = append(names, flag.Name)
		}
	})
	hint := "the settings are the flags of ddbproxy connect --help, by their long names"
	if inTarget {
		names = append(names, bastionsKey)
	} else {
		names = append(names, "target")
		if name == bastionsKey {
			hint = "bastions belong to a target: write [target.NAME] above them"
		}
	}
	if near := nearest(name, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	return usageError(hint, "%s: there is no setting %q", place, name)
}

// settable reports whether a flag can be a setting in a file.
func settable(flag *pflag.Flag) bool {
	return !flag.Hidden && flag.Name != "config" && flag.Name != "help"
}

// use sets the flags that are in the table and have no value yet. A command may
// lack some of them.
func (f *configFile) use(flags *pflag.FlagSet, table map[string]any, in ...string) error {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		flag := flags.Lookup(name)
		if flag == nil || flag.Changed {
			continue
		}
		place := f.place(append(in, name)...)
		if err := f.set(flags, flag, table[name]); err != nil {
			return usageError("ddbproxy connect --help tells what "+name+" takes", "%s: %s: %v", place, name, err)
		}
		_ = flags.SetAnnotation(name, originKey, []string{place}) // the flag is there
	}
	return nil
}

// set gives a flag a value of the file.
func (f *configFile) set(flags *pflag.FlagSet, flag *pflag.Flag, value any) error {
	list, err := texts(value)
	if err != nil {
		return err
	}
	// As elsewhere, a file's name counts from where it is written.
	if kind, _ := pflag.UnquoteUsage(flag); kind == "file" {
		for i := range list {
			list[i] = f.resolve(list[i])
		}
	}
	if text, ok := value.(string); ok && text == flag.Value.String() {
		flag.Changed = true // "" may be what a flag cannot be set to
		return nil
	}
	if _, ok := value.([]any); !ok {
		return flags.Set(flag.Name, list[0])
	}
	slice, ok := flag.Value.(pflag.SliceValue)
	if !ok {
		return errors.New("it takes one value, and this is a list")
	}
	flag.Changed = true
	return slice.Replace(list)
}

// resolve makes a file's name one that holds in any directory.
func (f *configFile) resolve(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	dir, err := filepath.Abs(filepath.Dir(f.name))
	if err != nil {
		return name
	}
	return filepath.Join(dir, name)
}

// texts are the values as they would be typed.
func texts(value any) ([]string, error) {
	switch v := value.(type) {
	case string, bool, int64:
		return []string{fmt.Sprint(v)}, nil
	case []any:
		list := []string{}
		for _, one := range v {
			if _, nested := one.([]any); nested {
				return nil, errors.New("it is a list of lists")
			}
			text, err := texts(one)
			if err != nil {
				return nil, err
			}
			list = append(list, text...)
		}
		return list, nil
	}
	return nil, errors.New(`it takes "text", a number, true or false, or a list of them`)
}
