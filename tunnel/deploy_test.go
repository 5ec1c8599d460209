package tunnel

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// relayFile builds the real relay, once for all tests.
var relayFile = sync.OnceValues(func() (*Program, error) {
	dir, err := os.MkdirTemp("", "ddbproxy-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "relay")
	build := exec.Command("go", "build", "-o", name, "github.com/ddbproxy/ddbproxy/cmd/ddbproxy-relay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(data)
	w.Close()
	sum := sha256.Sum256(data)
	return &Program{Hash: hex.EncodeToString(sum[:]), Gzip: packed.Bytes}, nil
})

// login runs a command as sshd would: by the login shell, in a home of its own.
func login(t *testing.T, shell, home, command string, stdin io.Reader) string {
	t.Helper()
	cmd := exec.Command(shell, "-c", command)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "XDG_RUNTIME_DIR=" + filepath.Join(home, "run")}
	cmd.Stdin = stdin
	out, _ := cmd.CombinedOutput() // the text tells more than the code
	return string(out)
}

// TestRelayIsUploadedOnceUnderEveryLoginShell runs the two scripts for real:
// nothing there, an upload, then the upload's own greeting.
func TestRelayIsUploadedOnceUnderEveryLoginShell(t *testing.T) {
	p, err := relayFile()
	if err != nil {
		t.Fatal(err)
	}
	start, err := startCommand(shOnPath, true, map[string]string{runtime.GOARCH: p.Hash}, []string{"-region", "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"sh", "bash", "rbash", "tcsh", "fish", "zsh"} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				if os.Getenv("DDBPROXY_TEST_REQUIRE") != "" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			home := t.TempDir()
			if out := login(t, path, home, start, nil); !missingLine.MatchString(out) {
				t.Fatalf("before the upload: %q, want the missing line", out)
			}
			out := login(t, path, home, uploadCommand(shOnPath, p.Hash, unpackedSize(p.Gzip())), bytes.NewReader(p.Gzip()))
			want := filepath.Join(home, ".cache/ddbproxy/relay-"+p.Hash)
			if m := uploadedLine.FindStringSubmatch(out); m == nil || m[1] != want {
				t.Fatalf("upload: %q, want it at %s", out, want)
			}
			for name, mode := range map[string]os.FileMode{want: 0o700, filepath.Dir(want): 0o700 | os.ModeDir} {
				if info, err := os.Stat(name); err != nil || info.Mode() != mode {
					t.Errorf("%s: %v, %v; want mode %v", name, info.Mode(), err, mode)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(home, ".cache/ddbproxy/.*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if out := login(t, path, home, start, strings.NewReader("ddbproxy 1 test\n")); !strings.HasPrefix(out, "ddbproxy-relay 1 ") {
				t.Errorf("after the upload: %q, want the relay's hello", out)
			}
		})
	}
}

// TestUploadRemovesRelaysOutOfUse: what was used lately stays, and what is no
// relay of ours.
func TestUploadRemovesRelaysOutOfUse(t *testing.T) {
	p, err := relayFile()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	dir := filepath.Join(home, ".cache", "ddbproxy")
	put := func(name string, age time.Duration) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	const day = 24 * time.Hour
	used := "relay-" + strings.Repeat("c", 64)
	put("relay-"+strings.Repeat("a", 64), 40*day)
	put("relay-"+strings.Repeat("b", 64), 20*day)
	put(used, 40*day)
	put(".relay-"+strings.Repeat("a", 64)+".HALF", 40*day)
	put("notes", 40*day)
	put("sub/relay-old", 40*day)
	start, err := startCommand(shOnPath, true, map[string]string{runtime.GOARCH: strings.Repeat("c", 64)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	login(t, "/bin/sh", home, start, nil) // is a use
	if out := login(t, "/bin/sh", home, uploadCommand(shOnPath, p.Hash, unpackedSize(p.Gzip())), bytes.NewReader(p.Gzip())); !uploadedLine.MatchString(out) {
		t.Fatalf("upload: %q", out)
	}
	var got []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	want := []string{"notes", "relay-" + p.Hash, "relay-" + strings.Repeat("b", 64), used, "sub/relay-old"}
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("left are %q, %v, want %q", got, err, want)
	}
}

func TestUploadThatCannotBeIsExplained(t *testing.T) {
	p, err := relayFile()
	if err != nil {
		t.Fatal(err)
	}
	file := func(home, name string) {
		if err := os.WriteFile(filepath.Join(home, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		block  func(home string)
		hash   string
		upload []byte
		want   string
	}{
		{"no directory can be made", func(home string) { file(home, ".cache"); file(home, "run") }, p.Hash, p.Gzip(),
			"no directory there can hold and run a program"},
		{"damaged on the way", func(string) {}, strings.Repeat("0", 64), p.Gzip(), "the upload is damaged: its SHA-256 is " + p.Hash},
		{"cut short", func(string) {}, p.Hash, p.Gzip()[:len(p.Gzip())/2], "unexpected end of file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			home := t.TempDir()
			tc.block(home)
			out := login(t, "sh", home, uploadCommand(shOnPath, tc.hash, 1<<20), bytes.NewReader(tc.upload))
			m := failedLine.FindStringSubmatch(out)
			if m == nil || !strings.Contains(m[1], tc.want) {
				t.Errorf("upload: %q, want it to fail with %q", out, tc.want)
			}
			if left, _ := filepath.Glob(filepath.Join(home, ".cache/ddbproxy/*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestWhatCannotRunIsNotStarted: a home may be shared with a bastion of another
// architecture, and a directory has an x bit too.
func TestWhatCannotRunIsNotStarted(t *testing.T) {
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	start, err := startCommand(shOnPath, true, map[string]string{other: "other", runtime.GOARCH: "ours"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cache := filepath.Join(home, ".cache/ddbproxy")
	if err := os.MkdirAll(filepath.Join(cache, "relay-ours"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cache, "relay-other"), []byte("\x7fELF of another machine"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out := login(t, "sh", home, start, nil); !missingLine.MatchString(out) {
		t.Errorf("start: %q, want the missing line", out)
	}
}

// Machines that share a home may upload at the same moment.
func TestUploadsHaveTemporaryNamesOfTheirOwn(t *testing.T) {
	if one, other := uploadCommand(binSh, "aa", 1<<20), uploadCommand(binSh, "aa", 1<<20); one == other {
		t.Error("two uploads write to the same temporary file")
	}
}

func TestUploadFallsToTheRuntimeDirectory(t *testing.T) {
	p, err := relayFile()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".cache"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := login(t, "sh", home, uploadCommand(shOnPath, p.Hash, unpackedSize(p.Gzip())), bytes.NewReader(p.Gzip()))
	if want := filepath.Join(home, "run/ddbproxy/relay-"+p.Hash); !strings.Contains(out, "uploaded "+want) {
		t.Errorf("upload: %q, want it at %s", out, want)
	}
}

func TestStartCommandRefusesArgumentsForTheShell(t *testing.T) {
	for _, arg := range []string{"", "a b", "$(id)", "x;y", "'", "é"} {
		if command, err := startCommand(shOnPath, true, nil, []string{arg}); err == nil {
			t.Errorf("argument %q became %q", arg, command)
		}
	}
}

func TestScriptsAreOneWordForEveryLoginShell(t *testing.T) {
	start, err := startCommand(shOnPath, true, map[string]string{"amd64": "aa", "arm64": "bb"}, []string{"-region", "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{start, uploadCommand(binSh, "aa", 1<<20)} {
		_, script, _ := strings.Cut(strings.TrimSuffix(command, "'"), "sh -c '")
		if len(script) < len(command)-len("/bin/sh -c ''") || strings.ContainsAny(script, "'!\n") {
			t.Errorf("not one single-quoted word for sh, csh and fish: %s", command)
		}
	}
}
