package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Dynoxide runs the DynamoDB stand-in of that name, empty and in memory, on
// the host's loopback and returns its URL. It ends with the test, which is
// skipped where scripts/test-deps has not put it.
func Dynoxide(tb TB) (url string) {
	tb.Helper()
	program := clientFile(tb, "node_modules/@dynoxide/linux-x64/dynoxide")
	return store(tb, "listening on", func(port string) *exec.Cmd {
		cmd := exec.Command(program, "--host", "127.0.0.1", "--port", port)
		// Its threads run out of stack on deep expressions otherwise.
		cmd.Env = []string{"PATH=" + path, "RUST_MIN_STACK=536870912"}
		return cmd
	})
}

// Dynalite is Dynoxide with another stand-in, slower and closer to the real
// one's error messages; tables are there and gone at once.
func Dynalite(tb TB) (url string) {
	tb.Helper()
	program := clientFile(tb, "node_modules/dynalite/cli.js")
	node, err := exec.LookPath("node")
	if err != nil {
		skip(tb, "lab: node is missing: run scripts/test-deps")
	}
	return store(tb, "listening at", func(port string) *exec.Cmd {
		cmd := exec.Command(node, program, "--host", "127.0.0.1", "--port", port,
			"--createTableMs", "0", "--deleteTableMs", "0", "--updateTableMs", "0")
		cmd.Env = []string{"PATH=" + path}
		return cmd
	})
}

// ClientScript returns the path of a file in scripts/clients; it skips the test
// where the programs beside it are not installed.
func ClientScript(tb TB, name string) string {
	tb.Helper()
	clientFile(tb, "node_modules")
	return clientFile(tb, name)
}

// clientFile finds a file below scripts/clients, from any directory of the
// module.
func clientFile(tb TB, name string) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatalf("lab: %v", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			tb.Fatalf("lab: not inside the module")
		}
	}
	file := filepath.Join(dir, "scripts", "clients", name)
	if _, err := os.Stat(file); err != nil {
		skip(tb, "lab: %s is missing: run scripts/test-deps", name)
	}
	return file
}

// store starts a stand-in and waits until it says that it listens. Neither of
// them can pick a port by itself, and one that was free a moment ago may be
// gone, so it tries a few.
func store(tb TB, ready string, command func(port string) *exec.Cmd) string {
	tb.Helper()
	var last error
	for range 5 {
		port, err := freePort()
		if err != nil {
			tb.Fatalf("lab: %v", err)
		}
		url, err := startStore(tb, ready, port, command(port))
		if err == nil {
			return url
		}
		last = err
	}
	tb.Fatalf("lab: %v", last)
	return ""
}

func startStore(tb TB, ready, port string, cmd *exec.Cmd) (string, error) {
	home, err := openNS()
	if err != nil {
		return "", err
	}
	var out log
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := start(home, nil, cmd)
	if err != nil {
		home.Close()
		return "", fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	end := func() {
		p.end(os.Kill)
		home.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := out.wait(ctx, p.done, 0, ready); err != nil {
		end()
		return "", fmt.Errorf("start %s: %w: %s", filepath.Base(cmd.Path), err, out.String())
	}
	tb.Cleanup(end)
	return "http://127.0.0.1:" + port, nil
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}
