package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// sessionInfo is what a running session tells other ddbproxy commands of the
// same user. The key is worth nothing beyond this machine's loopback.
type sessionInfo struct {
	URL    string `json:"url"`
	Region string `json:"region"`
	KeyID  string `json:"access_key_id"`
	Secret string `json:"secret_access_key"`
}

// control answers on a unix socket in the user's runtime directory, named by
// the session's first address.
type control struct {
	server *http.Server
	done   chan struct{}
}

// runtimeDir is a directory that only this user can look into.
func runtimeDir() (string, error) {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir != "" {
		dir = filepath.Join(dir, "ddbproxy")
	} else {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("ddbproxy-%d", os.Getuid()))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || !private(info) {
		return "", fmt.Errorf("%s is open to other users or not yours; remove it", dir)
	}
	return dir, nil
}

func newControl(addr string, info sessionInfo) (*control, error) {
	dir, err := runtimeDir()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, strings.ReplaceAll(addr, ":", "-")+".sock") // no colons in Windows' names
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
	mux.HandleFunc("GET /session", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(info)
	})
	c := &control{server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.server.Serve(l)
	}()
	return c, nil
}

// Close removes the socket.
func (c *control) Close() error {
	err := c.server.Close()
	<-c.done
	return err
}

// sessions asks every session of this user that answers.
func sessions(ctx context.Context) ([]sessionInfo, error) {
	dir, err := runtimeDir()
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.sock"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var found []sessionInfo
	for _, name := range names {
		if info, err := ask(ctx, name); err == nil {
			found = append(found, info)
		}
	}
	return found, nil
}

func ask(ctx context.Context, socket string) (info sessionInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", socket)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ddbproxy/session", nil)
	if err != nil {
		return info, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return info, err
	}
	defer resp.Body.Close()
	return info, json.NewDecoder(resp.Body).Decode(&info)
}

// pick chooses the session on a port, or the only one.
func pick(found []sessionInfo, port string) (sessionInfo, error) {
	if port != "" {
		i := slices.IndexFunc(found, func(s sessionInfo) bool { return strings.HasSuffix(s.URL, ":"+port) })
		if i < 0 {
			return sessionInfo{}, &exitError{exitFailed, fmt.Errorf("no session of yours is on port %s", port), "start one: ddbproxy connect dev@bastion --listen " + port}
		}
		return found[i], nil
	}
	switch len(found) {
	case 0:
		return sessionInfo{}, &exitError{exitFailed, errors.New("no session of yours is running"), "start one in another shell: ddbproxy connect dev@bastion"}
	case 1:
		return found[0], nil
	}
	var urls []string
	for _, s := range found {
		urls = append(urls, s.URL)
	}
	return sessionInfo{}, usageError("choose one by its port: ddbproxy env --local-port 8001", "several sessions are running: %s", strings.Join(urls, ", "))
}
