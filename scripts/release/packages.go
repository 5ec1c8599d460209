package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Tools that are run at a fixed version; they are no dependencies of the module.
const (
	nfpm      = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"
	cyclonedx = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
)

// bill writes a CycloneDX bill of materials of what Go says is in a program. The
// tool's time is replaced by the commit's, and its own hashes, which depend on
// where it was built, are left out.
func (r *release) bill(t target) error {
	name := r.file(t, ".cdx.json")
	if err := command(nil, "go", "run", cyclonedx, "bin", "-json", "-noserial", "-std", "-version", r.version,
		"-output", name, r.program(t)); err != nil {
		return err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if text, err = settled(text, r.at); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, text, 0o644)
}

// settled is a bill of materials without what differs between two runs.
func settled(bill []byte, at time.Time) ([]byte, error) {
	var all map[string]any
	if err := json.Unmarshal(bill, &all); err != nil {
		return nil, err
	}
	metadata, ok := all["metadata"].(map[string]any)
	if !ok {
		return nil, errors.New("the bill of materials has no metadata")
	}
	metadata["timestamp"] = at.UTC().Format(time.RFC3339)
	tools, _ := metadata["tools"].([]any)
	for _, tool := range tools {
		if tool, ok := tool.(map[string]any); ok {
			delete(tool, "hashes")
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	return append(text, '\n'), err
}

// packages makes a .deb and an .rpm of what runs on Linux, as
// scripts/release/PROGRAM.yaml describes them.
func (r *release) packages(t target) error {
	if t.goos != "linux" {
		return nil
	}
	env := []string{
		"STAGE=" + r.stage, "PROGRAM=" + r.program(t), "ARCH=" + t.goarch,
		"VERSION=" + packageVersion(r.version, r.at), fmt.Sprint("SOURCE_DATE_EPOCH=", r.at.Unix()),
	}
	for _, kind := range []string{"deb", "rpm"} {
		if err := command(env, "go", "run", nfpm, "package", "--config", "scripts/release/"+t.program+".yaml",
			"--packager", kind, "--target", r.file(t, "."+kind)); err != nil {
			return err
		}
	}
	return nil
}

// compressDocs leaves manual pages and the changelog in the stage as packages
// have them.
func (r *release) compressDocs(docs []file) error {
	changelog, err := read(".", "CHANGELOG.md")
	if err != nil {
		return err
	}
	for _, f := range append(changelog, docs...) {
		if !strings.HasSuffix(f.name, ".1") && !strings.HasSuffix(f.name, ".md") {
			continue
		}
		data, err := gzipped(f.data)
		if err != nil {
			return err
		}
		name := filepath.Join(r.stage, "gz", filepath.Base(f.name)+".gz")
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bare is a version without its v, as in file names.
func bare(version string) string {
	if tagged.MatchString(version) {
		return strings.TrimPrefix(version, "v")
	}
	return version
}

var (
	tagged = regexp.MustCompile(`^v?[0-9]+\.[0-9]`)
	since  = regexp.MustCompile(`-([0-9]+)-g([0-9a-f]+)`)
)

// packageVersion words what git describe says so that dpkg and rpm sort it as it
// is meant: v1.2.0-rc.1 before v1.2.0, and v1.2.0-3-gabc, three commits later,
// behind it. A commit without a tag is 0~ and its time.
func packageVersion(version string, at time.Time) string {
	version, dirty := strings.CutSuffix(version, "-dirty")
	if tagged.MatchString(version) {
		version = since.ReplaceAllString(bare(version), "+$1.g$2")
		version = strings.Replace(version, "-", "~", 1)
		version = strings.ReplaceAll(version, "-", ".") // which separates the packager's revision
	} else {
		version = "0~" + at.UTC().Format("20060102150405") + ".g" + version
	}
	if dirty {
		version += "+dirty"
	}
	return version
}
