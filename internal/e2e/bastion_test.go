//go:build linux

package e2e

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// printed runs ddbproxy to its end and returns what it printed.
func (r *rig) printed(args ...string) string {
	r.tb.Helper()
	out, err := r.ddbproxy(nil, args...).Output()
	if err != nil {
		r.tb.Fatalf("ddbproxy %q: %v", args, err)
	}
	return string(out)
}

// restricted opens the door as an administrator does who had ddbproxy print
// sshd's settings.
var restricted = map[string]func(r *rig, relay string){
	"authorized-key": func(r *rig, relay string) {
		r.openDoor(lab.SSHDOptions{Config: []string{"Subsystem sftp internal-sftp"}})
		r.write(r.door.AuthorizedKeys, r.printed("bastion", "authorized-key", r.door.Key+".pub", "--region", lab.Region, "--relay", relay))
		if err := os.Chmod(r.door.AuthorizedKeys, 0o644); err != nil {
			r.tb.Fatal(err)
		}
	},
	"sshd-config": func(r *rig, relay string) {
		block := r.printed("bastion", "sshd-config", "--group", lab.User, "--region", lab.Region, "--relay", relay)
		r.openDoor(lab.SSHDOptions{Config: append([]string{"Subsystem sftp internal-sftp"}, strings.Split(strings.TrimSpace(block), "\n")...)})
	},
}

// ssh runs OpenSSH's own client on the laptop, without input.
func (r *rig) ssh(name string, args ...string) (code int, out, errs string) {
	r.tb.Helper()
	cmd := r.Command(r.tb.Context(), lab.Laptop, name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		r.tb.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func TestRestrictedAccountStillConnects(t *testing.T) {
	t.Parallel()
	for name, open := range restricted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			open(r, r.installRelay())
			r.connect().serves(t, []string{byRelay}, []string{byUpload, byForward})
			r.viaTheEndpoint(t)
		})
	}
}

// Whoever has the key and any ssh client gets the relay and nothing else.
func TestRestrictedAccountGetsNothingElse(t *testing.T) {
	t.Parallel()
	for name, open := range restricted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			open(r, r.installRelay())
			t.Run("commands", func(t *testing.T) { r.noCommand(t) })
			t.Run("forwarding", func(t *testing.T) { r.noForwarding(t) })
			t.Run("targets", func(t *testing.T) { r.noOtherTarget(t) })
		})
	}
}

// noCommand: SSH_ORIGINAL_COMMAND is what the client likes, and means nothing.
func (r *rig) noCommand(t *testing.T) {
	mark := filepath.Join(r.Dir, "mark")
	if err := os.Mkdir(mark, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(mark, 0o777); err != nil { // Dir is anybody's to enter, and this to write to
		t.Fatal(err)
	}
	touch := "touch " + mark + "/x"
	for _, command := range []string{
		"", touch, "sh -c '" + touch + "'", "; " + touch, "| " + touch, "&& " + touch, "$(" + touch + ")", "`" + touch + "`",
		"\n" + touch + "\n", "'; " + touch + "; '", "\"; " + touch + "; \"", "-h", "-version", "-policy /dev/null", "--", "-region us-east-1",
		"ddbproxy-relay -region us-east-1", "scp -t " + mark, "internal-sftp", "/usr/lib/openssh/sftp-server", "rsync --server . " + mark,
		strings.Repeat("A", 64<<10), "\x01\x1b[2J\xff",
	} {
		_, out, errs := r.ssh("ssh", "-n", "-T", "--", lab.BastionName, command)
		if !strings.HasPrefix(out, "ddbproxy-relay 1 ") || strings.Count(out, "\n") != 1 || !strings.Contains(errs, "ddbproxy-relay: no hello from ddbproxy") {
			t.Errorf("%.80q: printed %q and %q, want the relay's hello alone", command, out, errs)
		}
	}
	if _, out, errs := r.ssh("ssh", "-n", "-tt", lab.BastionName); strings.Contains(out, "$") || !strings.Contains(errs, "PTY allocation request failed") {
		t.Errorf("a terminal: %q, %q, want it refused", out, errs)
	}
	batch := filepath.Join(r.Dir, "batch")
	r.write(batch, "put "+batch+" "+mark+"/x\n")
	if code, out, errs := r.ssh("sftp", "-b", batch, lab.BastionName); code == 0 {
		t.Errorf("sftp: %q, %q, want it to fail", out, errs)
	}
	if left, err := os.ReadDir(mark); err != nil || len(left) > 0 {
		t.Errorf("the bastion has written %v, %v", left, err)
	}
}

func (r *rig) noForwarding(t *testing.T) {
	for _, to := range []string{lab.VPCEndpoint + ":443", "localhost:22", ddbName + ":443"} {
		if code, out, errs := r.ssh("ssh", "-n", "-W", to, lab.BastionName); code == 0 || !strings.Contains(errs, "open failed") {
			t.Errorf("forwarding to %s: exit code %d, %q, %q, want it refused", to, code, out, errs)
		}
	}
	if code, _, errs := r.ssh("ssh", "-n", "-N", "-o", "ExitOnForwardFailure=yes", "-R", "9001:localhost:22", lab.BastionName); code == 0 || !strings.Contains(errs, "remote port forwarding failed") {
		t.Errorf("forwarding back: exit code %d, %q, want it refused", code, errs)
	}
}

// speak asks for a relay by OpenSSH's client, with words that mean nothing where
// it is forced, and speaks its protocol, without ddbproxy.
func (r *rig) speak(t testing.TB, command string) *relay.Client {
	t.Helper()
	cmd := r.Command(context.Background(), lab.Laptop, "ssh", "-T", lab.BastionName, command)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := relay.NewClient(t.Context(), pipes{out, in}, "hostile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = cmd.Wait() // its code is the relay's, or ssh's
	})
	return c
}

func (r *rig) noOtherTarget(t *testing.T) {
	c := r.speak(t, "ddbproxy-relay -region us-east-1")
	for _, target := range []string{
		lab.VPCEndpoint + ":443", "127.0.0.1:22", "localhost:443", "169.254.169.254:80", ddbName + ":80", ddbName + ":22", ddbName + ".:22",
		"dynamodb.us-east-1.amazonaws.com:443", "sts." + lab.Region + ".amazonaws.com:443", ddbName + ".evil.example:443",
		"vpce-0abc-x1.dynamodb." + lab.Region + ".vpce.amazonaws.com:443", "evil.example:443",
	} {
		conn, err := c.DialContext(t.Context(), "tcp", target)
		var refused *relay.Error
		if !errors.As(err, &refused) || refused.Kind != relay.KindDenied {
			t.Errorf("%s: error %v, want it denied", target, err)
		}
		if err == nil {
			conn.Close()
		}
	}
	conn, err := c.DialContext(context.WithoutCancel(t.Context()), "tcp", ddbName+":443")
	if err != nil {
		t.Fatalf("DynamoDB itself: %v", err)
	}
	conn.Close()
}

// pipes are a program's output and input as one stream.
type pipes struct {
	io.Reader
	io.WriteCloser
}
