package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigFileNamesWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, sentence, hint string
	}{
		{"unknown at the top", "\nregoin = 'x'\n", `:2: there is no setting "regoin"`, "did you mean region?"},
		{"unknown in a target", "[target.dev]\nhold = '9s'\nca_bundle = 'x'\n", `:3: there is no setting "ca_bundle"`, "did you mean ca-bundle?"},
		{"plural", "regions = ['a']\n", `:1: there is no setting "regions"`, "did you mean region?"},
		{"singular", "[target.dev]\nbastion = 'a'\n", `:2: there is no setting "bastion"`, "did you mean bastions?"},
		{"far from any", "colour = 'x'\n", `:1: there is no setting "colour"`, "the flags of ddbproxy connect"},
		{"bastions of nobody", "bastions = ['a']\n", `:1: there is no setting "bastions"`, "bastions belong to a target"},
		{"a table of another name", "[targets.dev]\nhold = '9s'\n", `:1: there is no setting "targets"`, "did you mean target?"},
		{"table in a target", "[target.dev]\n[target.dev.region]\na = 1\n", ":2: region: it takes", "tells what region takes"},
		{"file that names a file", "config = 'x'\n", `there is no setting "config"`, ""},
		{"hidden flag", "detached = true\n", `there is no setting "detached"`, ""},
		{"duration without a unit", "hold = 20\n", ":1: hold: ", "tells what hold takes"},
		{"list for one value", "endpoint = ['a', 'b']\n", ":1: endpoint: it takes one value, and this is a list", ""},
		{"list of lists", "region = [['a']]\n", ":1: region: it is a list of lists", ""},
		{"neither true nor false", "verbose = 'loud'\n", ":1: verbose: ", ""},
		{"no bastion", "[target.dev]\nbastions = []\n", ":2: bastions is not a list of hosts", ""},
		{"bastions of numbers and none", "[target.dev]\nbastions = ['']\n", ":2: bastions is not a list of hosts", ""},
		{"not an instance", "[target.dev]\ninstance-connect = 'x'\n", `:2: instance-connect: invalid argument "x"`, ""},
		{"name that is a flag", "[target.-v]\nhold = '9s'\n", `:2: "-v" is no name for a target`, ""},
		{"name with a space", "[target.'a b']\nhold = '9s'\n", `:2: "a b" is no name for a target`, ""},
		{"twice", "hold = '9s'\nhold = '8s'\n", ":2:1: key hold is already defined", "it is TOML"},
		{"no TOML", "hold: 9s\n", ":1:", "it is TOML"},
		{"target that is no table", "target = 'dev'\n", ":1:", "write [target.NAME]"},
		{"setting beside targets", "[target]\nhold = '9s'\n", ":2:", "write [target.NAME]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readConfig(file)
			var usage *exitError
			if !errors.As(err, &usage) || usage.code != exitUsage {
				t.Fatalf("err = %v, want one of usage", err)
			}
			if !strings.HasPrefix(err.Error(), file) || !strings.Contains(err.Error(), tt.sentence) || !strings.Contains(usage.hint, tt.hint) {
				t.Errorf("err = %v (hint: %s), want %q (hint: %q)", err, usage.hint, tt.sentence, tt.hint)
			}
		})
	}
}

// Whatever a file holds, it is read or its error is one of usage.
func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{"", "hold = '9s'", "[target.dev]\nbastions = ['a', 'b']\nregion.x = 1", "target = {dev = {listen = [1, 2.5]}}", "[[target]]", "a = 1979-05-27"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &configFile{name: "config.toml"}
		err := c.parse(text)
		if err == nil {
			err = c.check()
		}
		var usage *exitError
		if err != nil && (!errors.As(err, &usage) || usage.code != exitUsage) {
			t.Errorf("err = %v, not one of usage", err)
		}
	})
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"region", "listen", "hold", "ca-bundle", "identity", "bastions"}
	for word, want := range map[string]string{
		"regoin": "region", "regions": "region", "ident": "identity", "hodl": "hold", "ca_bundle": "ca-bundle",
		"h": "", "xy": "", "endpoint": "", "": "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
