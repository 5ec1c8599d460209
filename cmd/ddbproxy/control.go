package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// control answers on a unix socket in the user's runtime directory, named by
// the session's first address.
type control struct {
	server *http.Server
	done   chan struct{}
}

// longestDir is how long the name of a directory can be with a socket in it: 104
// bytes are all there are on macOS (unix(4)), with a zero at their end.
const longestDir = 104 - len("/127.0.0.1-65535.sock") - 1

// runtimeDirs are the directories that only this user can look into, the best
// first; the error is why there is none.
func runtimeDirs() (dirs []string, err error) {
	candidates := []string{filepath.Join(os.TempDir(), fmt.Sprintf("ddbproxy-%d", os.Getuid()))}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		candidates = append([]string{filepath.Join(dir, "ddbproxy")}, candidates...)
	}
	var errs []error
	for _, dir := range candidates {
		if len(dir) > longestDir {
			errs = append(errs, fmt.Errorf("%s is too long a name for sockets in it; set XDG_RUNTIME_DIR to a shorter one", dir))
			continue
		}
		if err := claim(dir); err != nil {
			errs = append(errs, err)
			continue
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		return nil, errors.Join(errs...)
	}
	return dirs, nil
}

// claim makes dir unless it is there, and sees that it is private.
func claim(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || !private(info) {
		return fmt.Errorf("%s is open to other users or not yours; remove it, or set XDG_RUNTIME_DIR to a directory of your own", dir)
	}
	return nil
}

// newControl answers for s, whose first address is addr.
func newControl(addr string, s *session) (*control, error) {
	dirs, err := runtimeDirs()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dirs[0], strings.ReplaceAll(addr, ":", "-")+".sock") // no colons in Windows' names
	// We hold the address, so a socket of its name is a dead session's.
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	mux := http.NewServeMux()
	answer := func(path string, get func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(get())
		})
	}
	answer("/session", func() any { return s.info() })
	answer("/status", func() any { return s.status() })
	mux.HandleFunc("POST /end", func(w http.ResponseWriter, _ *http.Request) {
		if s.options.end == nil {
			http.Error(w, "not by itself", http.StatusConflict)
			return
		}
		endOn(w, s.options.end)
	})
	c := &control{server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.server.Serve(ownPeers{l})
	}()
	return c, nil
}

// Close removes the socket.
func (c *control) Close() error {
	err := c.server.Close()
	<-c.done
	return err
}

// ownPeers accepts this user's processes only. The directory and the socket's
// mode keep others out already; where a file system ignores them, this does.
type ownPeers struct{ net.Listener }

func (l ownPeers) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(conn.(*net.UnixConn)); err == nil && uid == os.Getuid() {
			return conn, nil
		}
		conn.Close()
	}
}
