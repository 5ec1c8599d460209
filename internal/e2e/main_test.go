//go:build linux

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// programs is the directory with the ddbproxy under test and, beside it, the
// relay that it uploads. TestMain sets it once.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	// A lab has a handful of busy processes: more of them at once than this only
	// makes all of them late.
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		_ = n.Value.Set("2")
	}
	if os.Getuid() != 0 && os.Getenv(lab.RequireEnv) == "" {
		return m.Run() // every test skips
	}
	dir, err := os.MkdirTemp("", "ddbproxy-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return m.Run()
}

// build makes both programs. Relays that an earlier "make build" has left to be
// embedded may be older than the source, so they are hidden: a ddbproxy without
// them uploads the relay that lies beside it.
func build(dir string) error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	module := strings.TrimSpace(string(out))
	hidden := map[string]string{}
	for _, kind := range []string{"*.gz", "*.sha256"} {
		left, err := filepath.Glob(filepath.Join(module, "internal", "relaybin", "bin", kind))
		if err != nil {
			return err
		}
		for _, path := range left {
			hidden[path] = ""
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": hidden})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-overlay", file}
	if os.Getenv("GOCOVERDIR") != "" {
		args = append(args, "-cover")
	}
	for _, name := range []string{"ddbproxy", "ddbproxy-relay"} {
		cmd := exec.Command("go", append(args, "-o", filepath.Join(dir, name), "github.com/ddbproxy/ddbproxy/cmd/"+name)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// lookAtSources keeps "go test" from repeating an old result: it does that until
// a file changes that a test has looked at, and does not know of our build. What
// TestMain looks at before it runs the tests does not count.
func lookAtSources(tb testing.TB) {
	tb.Helper()
	for _, room := range []string{"go.mod", "cmd", "proxy", "tunnel", "internal"} {
		err := filepath.WalkDir(filepath.Join("..", "..", room), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}
