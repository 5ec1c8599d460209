//go:build unix

package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// The socket is open to everyone here: what keeps another user out is who he is.
func TestControlSocketIsForItsUserOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	dir, err := os.MkdirTemp("/tmp", "peer-") // t.TempDir's parents are closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "peer")
	if text, err := os.ReadFile(program); err != nil || os.WriteFile(copied, text, 0o755) != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := (ownPeers{l}).Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "welcome")
			conn.Close()
		}
	}()
	for name, mode := range map[string]os.FileMode{dir: 0o755, socket: 0o666} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		uid  uint32
		want string
	}{{0, "welcome"}, {65534, ""}} {
		cmd := exec.Command(copied)
		cmd.Env = []string{peerEnv + "=" + socket}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.uid, Gid: tt.uid}}
		if out, err := cmd.Output(); err != nil || string(out) != tt.want {
			t.Errorf("user %d: %q, %v, want %q", tt.uid, out, err, tt.want)
		}
	}
	l.Close()
	<-served
}
