package main

import (
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// awkward is a command line with what systemd and XML take for their own.
var awkward = []string{"/usr/local/bin/ddbproxy", "connect", "dev@bastion", "--ssh-command=ssh -o \"User=%r\" $HOST 'a b' <c&d>;", "--identity=/home/dev/a\\b", "--profile="}

func TestServiceFilesAreAsTheyWere(t *testing.T) {
	t.Parallel()
	for name, got := range map[string]string{
		"target.service":  systemdUnit("prod", []string{"/usr/local/bin/ddbproxy", "connect", "prod"}),
		"awkward.service": systemdUnit("dev-bastion", awkward),
		"target.plist":    launchdPlist("io.github.ddbproxy.prod", "/Users/dev/Library/Logs/ddbproxy-prod.log", []string{"/usr/local/bin/ddbproxy", "connect", "prod"}),
		"awkward.plist":   launchdPlist("io.github.ddbproxy.dev-bastion", "/Users/dev/Library/Logs/ddbproxy-dev-bastion.log", awkward),
	} {
		want, err := os.ReadFile(filepath.Join("testdata", "service", name))
		if err != nil {
			t.Error(err)
		}
		if got != string(want) {
			t.Errorf("%s differs:\n%s", name, got)
		}
	}
}

// systemd itself finds nothing to say, and runs the words that were meant.
func TestSystemdReadsTheUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	command := slices.Clone(awkward)
	if command[0], err = os.Executable(); err != nil { // it looks for it
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "ddbproxy-dev.service")
	if err := os.WriteFile(file, []byte(systemdUnit("dev", command)), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := exec.Command(analyze, "--user", "verify", file)
	verify.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestLaunchdPlistHoldsTheWords(t *testing.T) {
	t.Parallel()
	var words []string
	in := false
	d := xml.NewDecoder(strings.NewReader(launchdPlist("l", "/log", awkward)))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			in = in || e.Name.Local == "array"
			if in && e.Name.Local == "string" {
				var w string
				if err := d.DecodeElement(&w, &e); err != nil {
					t.Fatal(err)
				}
				words = append(words, w)
			}
		case xml.EndElement:
			in = in && e.Name.Local != "array"
		}
	}
	if !slices.Equal(words, awkward) {
		t.Errorf("words = %q, want %q", words, awkward)
	}
}
