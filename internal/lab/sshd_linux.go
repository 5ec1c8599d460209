package lab

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sshdProgram is absolute since sshd starts itself again for each connection.
const sshdProgram = "/usr/sbin/sshd"

// SSHDOptions says how the bastion's sshd differs from Debian's defaults. The
// zero value lets [User] in with the laptop's key.
type SSHDOptions struct {
	// Config has further lines of sshd_config. They win over the lab's own;
	// lines from the first Match on go to the end of the file.
	Config []string
	// HostKeys are kinds of keys: ed25519, ecdsa, rsa. None means ed25519.
	HostKeys []string
	// KeyOptions go before the laptop's key in authorized_keys, such as
	// `restrict,command="ddbproxy-relay"`.
	KeyOptions string
	// Shell is User's login shell; empty means /bin/sh.
	Shell string
	// Path is PATH in User's sessions; empty means sshd's own.
	Path string
	// HomeMount gives User an empty home on a file system of its own with
	// these options of tmpfs, such as "noexec", "ro" or "size=64k". DevHome
	// is not what User sees then.
	HomeMount string
	// Port is the port to listen on; 0 means 22.
	Port int
	// Address is the bastion's address to listen on; empty means all. It is
	// the one in known_hosts instead of the bastion's name and usual address.
	Address string
	// PAM is the stack of /etc/pam.d/sshd; empty switches PAM off.
	PAM []string
	// Name tells several sshds apart: the laptop's files for this one are in
	// ~/.ssh/NAME, where ssh does not look by itself. Empty means ~/.ssh.
	Name string
}

// SSHD is OpenSSH's server on the bastion, and what the laptop needs to log in.
// Paths are valid in this process and on all machines. Its methods are for one
// goroutine at a time, but for Log and WaitLog.
type SSHD struct {
	Addr         string // host:port, from the laptop
	Key          string // the laptop user's private key, ed25519
	KnownHosts   string // known_hosts with the bastion by name and address
	ClientConfig string // ssh_config with Host bastion, the laptop's ~/.ssh/config
	// AuthorizedKeys is User's list of keys; a test may rewrite it. It is not
	// in the home, so that HomeMount can hide that.
	AuthorizedKeys string

	lab     *Lab
	options SSHDOptions
	dir     string // for sshd's eyes
	userKey crypto.Signer
	log     log
	process *process
	pids    uint64 // inode of the daemon's pid namespace
}

// SSHD starts sshd on the bastion and writes the laptop's ~/.ssh so that
// `ssh bastion` works there. It skips the test where sshd is not installed.
func (l *Lab) SSHD(options SSHDOptions) *SSHD {
	l.tb.Helper()
	if _, err := os.Stat(sshdProgram); err != nil {
		skip(l.tb, "lab: sshd is missing: run scripts/test-deps")
	}
	if options.Port == 0 {
		options.Port = 22
	}
	if len(options.HostKeys) == 0 {
		options.HostKeys = []string{"ed25519"}
	}
	if options.Shell == "" {
		options.Shell = "/bin/sh"
	}
	client := filepath.Join(l.Home, ".ssh", options.Name)
	dir := filepath.Join(l.Dir, "bastion", fmt.Sprintf("sshd-%s%d", options.Name, options.Port))
	addr := BastionAddr
	if options.Address != "" {
		addr = options.Address
	}
	s := &SSHD{
		Addr:           fmt.Sprintf("%s:%d", addr, options.Port),
		Key:            filepath.Join(client, "id_ed25519"),
		KnownHosts:     filepath.Join(client, "known_hosts"),
		ClientConfig:   filepath.Join(client, "config"),
		AuthorizedKeys: filepath.Join(dir, "authorized_keys"),
		lab:            l, options: options, dir: dir,
	}
	if err := s.write(client); err != nil {
		l.tb.Fatalf("lab: set up sshd: %v", err)
	}
	l.tb.Cleanup(s.Kill)
	s.Start()
	return s
}

// Start starts a daemon that Stop or Kill has ended, and returns when it
// listens.
func (s *SSHD) Start() {
	s.lab.tb.Helper()
	if err := s.start(); err != nil {
		s.lab.tb.Fatalf("lab: start sshd: %v\n%s", err, s.Log())
	}
}

func (s *SSHD) start() error {
	if s.process != nil && s.process.running() {
		return errors.New("it is running")
	}
	m := s.lab.machines[Bastion]
	script := enter + "mount -t proc proc /proc\n"
	if s.options.HomeMount != "" {
		script += fmt.Sprintf("mount -t tmpfs -o mode=700,uid=%d,gid=%[1]d,'%s' tmpfs '%s'\n",
			s.lab.UID, s.options.HomeMount, s.lab.DevHome)
	}
	cmd := exec.Command("/bin/sh", "-c", script+`exec "$@"`, "lab", m.etc, string(Bastion),
		sshdProgram, "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
	cmd.Env = []string{"PATH=" + path}
	// As the first process of its own pid namespace sshd takes all sessions
	// with it, whatever they did to get away from it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
	cmd.Stderr = &s.log
	from := s.log.len()
	p, err := start(s.lab.home, m.namespace, cmd)
	if err != nil {
		return err
	}
	s.process, s.pids = p, namespaceOf(p.cmd.Process.Pid, "pid")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return s.log.wait(ctx, p.done, from, "Server listening on ")
}

// Stop ends the daemon as an administrator does, with its sessions.
func (s *SSHD) Stop() { s.process.end(syscall.SIGTERM) }

// Kill ends the daemon and all its sessions at once, as a crash does.
func (s *SSHD) Kill() {
	if s.process != nil {
		s.process.end(syscall.SIGKILL)
	}
}

// KillSessions ends all that the daemon has started, so that its connections
// break; it goes on listening.
func (s *SSHD) KillSessions() {
	s.lab.tb.Helper()
	err := killAll(func(pid int) bool {
		return pid != s.process.cmd.Process.Pid && namespaceOf(pid, "pid") == s.pids
	})
	if err != nil {
		s.lab.tb.Fatalf("lab: end sessions: %v", err)
	}
}

// RotateHostKey gives the bastion new host keys and starts the daemon again,
// without its sessions. It returns what KnownHosts would have to be; the file
// keeps the old keys.
func (s *SSHD) RotateHostKey() (knownHosts string) {
	s.lab.tb.Helper()
	s.Kill()
	known, err := s.writeHostKeys()
	if err != nil {
		s.lab.tb.Fatalf("lab: new host key: %v", err)
	}
	s.Start()
	return known
}

// Path is where this process finds a file that sshd and its sessions see as
// name. It is valid until sshd ends.
func (s *SSHD) Path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", s.process.cmd.Process.Pid, name)
}

// Log returns what sshd has logged so far, at level VERBOSE.
func (s *SSHD) Log() string { return s.log.String() }

// WaitLog waits until sshd has logged text. It fails when ctx ends.
func (s *SSHD) WaitLog(ctx context.Context, text string) error {
	return s.log.wait(ctx, nil, 0, text)
}
