package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// enter is a shell script that puts a machine's files over the host's in a
// mount namespace of its own, then becomes the command. The bastion has an
// empty /run with sshd's directory, a /var/log that nobody keeps, none of the
// host's syslog, and sshd's PAM stack alone where there is one.
const enter = `set -e
etc=$1 machine=$2
shift 2
for f in hosts resolv.conf nsswitch.conf passwd group shadow; do
	[ ! -e "/etc/$f" ] || mount --bind "$etc/$f" "/etc/$f"
done
if [ "$machine" = bastion ]; then
	mount -t tmpfs -o mode=755 tmpfs /run
	mkdir -m 755 /run/sshd
	mount -t tmpfs -o mode=755 tmpfs /var/log
	[ ! -S /dev/log ] || mount --bind /dev/null /dev/log
	[ ! -e "$etc/pam.d/sshd" ] || mount --bind "$etc/pam.d" /etc/pam.d
fi
`

// path is Debian's own programs: a developer's version managers, which put
// others first, are not what users have.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Command returns a command that runs on a machine, as root, with that
// machine's network, names and accounts. Its environment holds PATH, HOME, USER,
// LANG and TMPDIR only, so no AWS or proxy setting of the developer's leaks in;
// append to Env for more. Its process is the named program's, ready for
// signals. SysProcAttr is set: change its fields but do not replace it.
//
// What it leaves running ends with the lab.
func (l *Lab) Command(ctx context.Context, ns NS, name string, args ...string) *exec.Cmd {
	l.tb.Helper()
	m, ok := l.machines[ns]
	if !ok {
		l.tb.Fatalf("lab: no machine %q", ns)
	}
	home := l.Home
	if ns != Laptop {
		home = "/root"
	}
	argv := append([]string{
		"--net=" + m.path(), "--", "/bin/sh", "-c", enter + `exec "$@"`, "lab", m.etc, string(ns), name,
	}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", argv...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Env = []string{"PATH=" + path, "HOME=" + home, "USER=root", "LANG=C.UTF-8", "TMPDIR=" + os.TempDir()}
	// Where a program built with -cover leaves its counts.
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+dir)
	}
	return cmd
}

// WriteDevFile writes a file in User's home on the bastion, owned by User; name
// is relative to the home.
func (l *Lab) WriteDevFile(name, content string, perm os.FileMode) {
	l.tb.Helper()
	root, err := os.OpenRoot(l.DevHome)
	if err != nil {
		l.tb.Fatalf("lab: %v", err)
	}
	defer root.Close()
	if err := l.writeOwned(root, name, content, perm); err != nil {
		l.tb.Fatalf("lab: write %s on the bastion: %v", name, err)
	}
}

func (l *Lab) writeOwned(root *os.Root, name, content string, perm os.FileMode) error {
	for i, c := range name {
		if c != '/' {
			continue
		}
		if err := root.Mkdir(name[:i], 0o700); err != nil {
			if !os.IsExist(err) {
				return err
			}
			continue
		}
		if err := root.Chown(name[:i], l.UID, l.UID); err != nil {
			return err
		}
	}
	if err := root.WriteFile(name, []byte(content), perm); err != nil {
		return err
	}
	if err := root.Chmod(name, perm); err != nil {
		return fmt.Errorf("set permissions: %w", err)
	}
	return root.Chown(name, l.UID, l.UID)
}
