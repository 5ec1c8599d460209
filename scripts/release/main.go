// Command release makes what is published of one commit: programs for every
// platform, archives, Debian and RPM packages, software bills of materials, a
// Homebrew formula and checksums.
//
//	make release          # into dist/
//	make release-check    # twice, in two directories, and compares; looks into the packages
//
// The same commit gives the same bytes with the same Go: file times are the
// commit's, owners, order and names of hosts are fixed. It is a program and not
// a script because tar, zip and gzip differ between machines, and Go's do not.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// target is a program on a platform, in Go's names.
type target struct{ program, goos, goarch string }

// targets are all that is built: the relay runs on bastions, which have Linux.
func targets() (all []target) {
	for _, goos := range []string{"darwin", "linux", "windows"} {
		for _, goarch := range []string{"amd64", "arm64"} {
			all = append(all, target{"ddbproxy", goos, goarch})
			if goos == "linux" {
				all = append(all, target{"ddbproxy-relay", goos, goarch})
			}
		}
	}
	return all
}

// exe is the program's file name.
func (t target) exe() string {
	if t.goos == "windows" {
		return t.program + ".exe"
	}
	return t.program
}

// release is one run.
type release struct {
	version string    // as git describes the commit
	at      time.Time // the commit's
	ldflags string    // the Makefile's
	dist    string    // where it goes
	stage   string    // what packages are made of; removed at the end
}

func main() {
	r := &release{}
	seconds := ""
	flag.StringVar(&r.version, "version", "", "the release's `name`, as of git describe")
	flag.StringVar(&seconds, "date", os.Getenv("SOURCE_DATE_EPOCH"), "the commit's time in `seconds`")
	flag.StringVar(&r.ldflags, "ldflags", "", "`flags` for the linker")
	flag.StringVar(&r.dist, "dist", "dist", "`directory` to write to; what is in it goes")
	flag.Parse()
	n, err := strconv.ParseInt(seconds, 10, 64)
	if r.at = time.Unix(n, 0).UTC(); err != nil || r.version == "" {
		fmt.Fprintln(os.Stderr, "release: -version and -date (or SOURCE_DATE_EPOCH) are needed: use make release")
		os.Exit(2)
	}
	if err := r.run(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r *release) run() (err error) {
	if r.dist, err = filepath.Abs(r.dist); err != nil {
		return err
	}
	if err := os.RemoveAll(r.dist); err != nil {
		return err
	}
	r.stage = filepath.Join(r.dist, "stage")
	if err := os.MkdirAll(r.stage, 0o755); err != nil {
		return err
	}
	for _, t := range targets() {
		if err := r.build(t); err != nil {
			return err
		}
	}
	if err := r.checkEmbedded(); err != nil {
		return err
	}
	docs, err := r.docs()
	if err != nil {
		return err
	}
	for _, t := range targets() {
		for _, step := range []func() error{
			func() error { return r.archive(t, docs) },
			func() error { return r.bill(t) },
			func() error { return r.packages(t) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	if err := r.formula(); err != nil {
		return err
	}
	if err := os.RemoveAll(r.stage); err != nil {
		return err
	}
	return checksums(r.dist)
}

// program is where a target's program is put.
func (r *release) program(t target) string {
	return filepath.Join(r.stage, t.goos+"_"+t.goarch, t.exe())
}

// file is the path of something published of a target.
func (r *release) file(t target, suffix string) string {
	return filepath.Join(r.dist, strings.Join([]string{t.program, bare(r.version), t.goos, t.goarch}, "_")+suffix)
}

func (r *release) build(t target) error {
	say("%s for %s/%s", t.program, t.goos, t.goarch)
	return command([]string{"CGO_ENABLED=0", "GOOS=" + t.goos, "GOARCH=" + t.goarch},
		"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", r.ldflags, "-o", r.program(t), "./cmd/"+t.program)
}

// checkEmbedded sees that the relays that "make relays" left to be embedded are
// those that are published.
func (r *release) checkEmbedded() error {
	for _, t := range targets() {
		if t.program != "ddbproxy-relay" {
			continue
		}
		embedded, err := os.ReadFile(fmt.Sprintf("internal/relaybin/bin/%s-%s-%s.sha256", t.program, t.goos, t.goarch))
		if err != nil {
			return fmt.Errorf("%w; run make relays", err)
		}
		built, err := hash(r.program(t))
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(embedded)) != built {
			return fmt.Errorf("the embedded %s for %s is another than the published one; run make relays", t.program, t.goarch)
		}
	}
	return nil
}

// docs makes the manual pages and completions, and returns what every archive of
// ddbproxy has besides it.
func (r *release) docs() ([]file, error) {
	man, completions := filepath.Join(r.stage, "man"), filepath.Join(r.stage, "completions")
	for _, dir := range []string{man, completions} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := command([]string{fmt.Sprint("SOURCE_DATE_EPOCH=", r.at.Unix()), "DDBPROXY_MAN_DIR=" + man},
		"go", "test", "-count", "1", "-run", "^TestManPages$", "./cmd/ddbproxy"); err != nil {
		return nil, err
	}
	host := r.program(target{"ddbproxy", runtime.GOOS, runtime.GOARCH})
	for shell, name := range map[string]string{"bash": "ddbproxy.bash", "zsh": "_ddbproxy", "fish": "ddbproxy.fish", "powershell": "ddbproxy.ps1"} {
		script, err := exec.Command(host, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion for %s: %w", shell, err)
		}
		if err := os.WriteFile(filepath.Join(completions, name), script, 0o644); err != nil {
			return nil, err
		}
	}
	docs, err := read(r.stage, "man", "completions")
	if err != nil {
		return nil, err
	}
	return docs, r.compressDocs(docs)
}

// archive writes a target's tar.gz, or zip for Windows.
func (r *release) archive(t target, docs []file) error {
	files, err := read(".", "README.md", "LICENSE", "CHANGELOG.md")
	if err != nil {
		return err
	}
	program, err := os.ReadFile(r.program(t))
	if err != nil {
		return err
	}
	files = append(files, file{t.exe(), 0o755, program})
	if t.program == "ddbproxy" {
		files = append(files, docs...)
	}
	write, suffix := tarGz, ".tar.gz"
	if t.goos == "windows" {
		write, suffix = zipped, ".zip"
	}
	name := r.file(t, suffix)
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := write(out, strings.TrimSuffix(filepath.Base(name), suffix), files, r.at); err != nil {
		return err
	}
	return out.Close()
}

// checksums writes SHA256SUMS of all files in dir, as sha256sum -c reads it.
func checksums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, e := range entries { // sorted
		sum, err := hash(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%s  %s\n", sum, e.Name())
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(lines.String()), 0o644)
}

func hash(name string) (string, error) {
	data, err := os.ReadFile(name)
	return fmt.Sprintf("%x", sha256.Sum256(data)), err
}

// command runs a program; what it prints is shown only if it fails.
func command(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "release: "+format+"\n", args...) }
