package tunnel

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestHostNamesAreLiteralAndIncluded(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	for name, text := range map[string]string{
		"config":          "Include conf.d/*.conf\nHost bastion b2 # comment\n  HostName x\nHOST=\"quoted\"\nHost * !not web-?\nHost 'open\nMatch host z\nHost bastion last\n",
		"conf.d/one.conf": "Host included\nInclude ~/.ssh/config\n", // in a circle
	} {
		file := filepath.Join(dir, ".ssh", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"included", "bastion", "b2", "quoted", "last"}
	if got := HostNames(filepath.Join(dir, ".ssh", "config")); !reflect.DeepEqual(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}
	if got := HostNames(filepath.Join(dir, "absent")); got != nil {
		t.Errorf("without a file names are %q", got)
	}
}
