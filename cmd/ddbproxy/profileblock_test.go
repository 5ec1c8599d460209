package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func profileOf(name string) awsProfile {
	return awsProfile{name: name, region: "eu-west-1", process: "/usr/local/bin/ddbproxy credentials --local-port 8000", url: "http://localhost:8000"}
}

// Whatever the file was, taking the profile out gives it back.
func FuzzConfigureIsUndone(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "[default]\nregion = x\n", "[default]\nregion = x", "[default]\r\nregion = x\r\n", "[default]\r\nregion = x", "x\r", "\r\n\r", "\r",
		"\ufeff[default]\n", "[profile other]\ns3 =\n  a = b", "a\r\nb\nc", "[profile ddb]\n", profileOf("other").text(), beginMark("ddb"), endMark("ddb") + "\n",
	} {
		f.Add(seed, "")
		f.Add(seed, "[profile later]\nregion = y\n")
	}
	f.Fuzz(func(t *testing.T, file, later string) {
		p := profileOf("ddb")
		with, err := p.put([]byte(file))
		if err != nil || strings.Contains(file, beginMark("ddb")) {
			t.Skip() // refused, or configured before
		}
		again, err := p.put(with)
		if err != nil || !bytes.Equal(again, with) {
			t.Fatalf("a second time gives %q, %v, want %q", again, err, with)
		}
		got, found, err := removeBlock(with, "ddb")
		if err != nil || !found || string(got) != file {
			t.Fatalf("from %q back to %q, %t, %v, want %q", with, got, found, err, file)
		}
		// Lines that are written behind it meanwhile stay.
		if later == "" || strings.Contains(later, endMark("ddb")) || strings.Contains(later, beginMark("ddb")) {
			return
		}
		newline := ""
		if !bytes.HasSuffix(with, []byte("\n")) {
			newline = "\n" // an editor's
		}
		got, _, err = removeBlock([]byte(string(with)+newline+later), "ddb")
		if err != nil || !strings.HasPrefix(string(got), file) || !strings.HasSuffix(string(got), later) {
			t.Fatalf("with %q behind it %q, %v", later, got, err)
		}
	})
}

func TestProfilePutChangesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	p := profileOf("ddb")
	other := profileOf("ddb2")
	moved := p
	moved.url = "http://localhost:8001"
	with := func(p awsProfile) string { return p.text() + "\n" }
	for _, tt := range []struct {
		name, file, want string
		err              error
	}{
		{"no file", "", with(p), nil},
		{"another profile", "[default]\nregion = x\n", "[default]\nregion = x\n" + with(p), nil},
		{"no last newline", "[default]", "[default]\n" + p.text(), nil},
		{"Windows", "[a]\r\n", "[a]\r\n" + strings.ReplaceAll(with(p), "\n", "\r\n"), nil},
		{"another port before", "[a]\n" + with(moved) + "[b]\n", "[a]\n" + with(p) + "[b]\n", nil},
		{"a second of ours", with(other), with(other) + with(p), nil},
		{"a longer name", "[profile ddb-2]\n", "[profile ddb-2]\n" + with(p), nil},
		{"foreign profile", "[profile ddb]\nregion = x\n", "", errForeignProfile},
		{"foreign, oddly written", "\ufeff[ profile \t \"ddb\" ]\n", "", errForeignProfile},
		{"foreign services", "[services ddb]\n", "", errForeignProfile},
		{"foreign behind ours", with(p) + "[profile ddb]\n", "", errForeignProfile},
		{"a comment", "# [profile ddb]\n", "# [profile ddb]\n" + with(p), nil},
		{"end missing", "[a]\n" + beginMark("ddb") + "\n[b]\n", "", errBrokenBlock},
		{"begin missing", endMark("ddb"), "", errBrokenBlock},
		{"twice", with(p) + with(p), "", errBrokenBlock},
		{"the other way round", endMark("ddb") + "\n" + beginMark("ddb") + "\n", "", errBrokenBlock},
	} {
		got, err := p.put([]byte(tt.file))
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v, want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestProcessCommandIsOneWordForAll(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/usr/bin/ddbproxy":        "/usr/bin/ddbproxy credentials --local-port 8001",
		"/opt/my tools/ddbproxy":   `"/opt/my tools/ddbproxy" credentials --local-port 8001`,
		"/opt/(x)&y/ddbproxy":      `"/opt/(x)&y/ddbproxy" credentials --local-port 8001`,
		"/opt/$x/ddbproxy":         "",
		"/opt/it's/ddbproxy":       "",
		"/opt/a #b/ddbproxy":       "",
		"/opt/\"quoted\"/ddbproxy": "",
	} {
		got, err := processCommand(path, "8001", "")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestReplaceFileKeepsModeAndLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, link := filepath.Join(dir, "dotfiles"), filepath.Join(dir, "config")
	if err := os.WriteFile(target, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(target, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dotfiles", link); err != nil {
		t.Skip(err)
	}
	if err := replaceFile(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(target)
	info, _ := os.Stat(target)
	if string(data) != "new" || err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the target is %q, %v, %v, want new with the mode kept", data, err, info.Mode())
	}
	if to, err := os.Readlink(link); to != "dotfiles" {
		t.Errorf("the link leads to %q, %v, want it kept", to, err)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, nil); err == nil || !strings.Contains(err.Error(), "dotfiles is not there") {
		t.Errorf("a link to nothing: %v, want it refused", err)
	}
	fresh := filepath.Join(dir, "new", "config")
	if err := replaceFile(fresh, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new file: %v, %v, want it private", info.Mode(), err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
