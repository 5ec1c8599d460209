package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ddbproxy/ddbproxy/internal/story"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "printenv" { // a shell's child
		_ = json.NewEncoder(os.Stdout).Encode(os.Environ())
		return
	}
	if socket := os.Getenv(peerEnv); socket != "" {
		beAPeer(socket)
		return
	}
	testscript.Main(m, map[string]func(){"ddbproxy": main})
}

// peerEnv names the socket that the test program connects to as another user.
const peerEnv = "DDBPROXY_TEST_PEER"

// beAPeer is the test program in that role: it prints what it is told.
func beAPeer(socket string) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		os.Exit(1)
	}
	_, _ = io.WriteString(conn, "hello\n")
	_, _ = io.Copy(os.Stdout, conn) // nothing is what another user is told
}

// TestScripts plays testdata/script: the program as a user types it. Every
// script has the demo's world at hand: a bastion, and DynamoDB behind it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setup,
		Cmds:  story.Commands(),
	})
}

func setup(e *testscript.Env) error {
	s, err := setStage("", nil)
	if err != nil {
		return err
	}
	e.Defer(func() { s.strike() })
	outside, endOutside, err := s.outside()
	if err != nil {
		return err
	}
	e.Defer(endOutside)
	home, run := filepath.Join(e.WorkDir, "home"), filepath.Join(e.WorkDir, "run")
	for _, dir := range []string{home, run} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	e.Defer(func() { // of a script that failed midway
		left, _ := filepath.Glob(filepath.Join(run, "ddbproxy", "*.sock"))
		for _, socket := range left {
			_ = end(context.Background(), socket, "") // dead ones do not answer
		}
	})
	e.Vars = append(e.Vars,
		"HOME="+home, "XDG_RUNTIME_DIR="+run,
		"BASTION=dev@"+s.ssh.String(), "STAGE="+s.dir, "OUTSIDE="+outside,
		"AWS_ACCESS_KEY_ID="+s.key, "AWS_SECRET_ACCESS_KEY="+s.secret,
		"DDBPROXY_SSH_CONFIG="+s.file("ssh_config"), "DDBPROXY_IDENTITY="+s.file("id_ed25519"),
		"DDBPROXY_KNOWN_HOSTS="+s.file("known_hosts"), "AWS_CA_BUNDLE="+s.file("ca.pem"),
		"AWS_REGION="+demoRegion, "DDBPROXY_LISTEN=0", "AWS_EC2_METADATA_DISABLED=true",
	)
	return nil
}
