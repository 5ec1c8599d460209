package lab

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// User is the account on the bastion that the laptop logs in to.
const User = "dev"

// firstUID is above the ids that distributions hand out.
const firstUID = 20000

// dynamoDB are the names that a lab resolves without being asked to.
var dynamoDB = []string{
	"dynamodb." + Region + ".amazonaws.com",
	"dynamodb-fips." + Region + ".amazonaws.com",
	"dynamodb." + Region + ".api.aws",
	"streams.dynamodb." + Region + ".amazonaws.com",
	"123456789012.ddb." + Region + ".amazonaws.com",
}

// hosts is a machine's /etc/hosts.
type hosts struct {
	mu    sync.Mutex
	path  string
	names map[string]string
}

// Lookup returns the address of name on a machine, from its /etc/hosts; an IP
// address is its own.
func (l *Lab) Lookup(ns NS, name string) (string, error) {
	if net.ParseIP(name) != nil {
		return name, nil
	}
	m, ok := l.machines[ns]
	if !ok {
		return "", fmt.Errorf("lab: no machine %q", ns)
	}
	m.hosts.mu.Lock()
	defer m.hosts.mu.Unlock()
	addr, ok := m.hosts.names[strings.ToLower(strings.TrimSuffix(name, "."))]
	if !ok {
		return "", &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return addr, nil
}

// AddHost gives an address further names on a machine, for programs that are
// already running too.
func (l *Lab) AddHost(ns NS, addr string, names ...string) error {
	m, ok := l.machines[ns]
	if !ok {
		return fmt.Errorf("lab: no machine %q", ns)
	}
	m.hosts.mu.Lock()
	defer m.hosts.mu.Unlock()
	// Appending keeps the file that is mounted over /etc/hosts.
	f, err := os.OpenFile(m.hosts.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	for _, name := range names {
		m.hosts.names[strings.ToLower(name)] = addr
	}
	_, err = fmt.Fprintf(f, "%s %s\n", addr, strings.Join(names, " "))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// users makes the homes and picks a user id that no account of the host has.
func (l *Lab) users() error {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	for l.UID = firstUID; bytes.Contains(passwd, fmt.Appendf(nil, ":%d:", l.UID)); {
		l.UID++
	}
	l.Home = filepath.Join(l.Dir, "laptop", "home")
	l.DevHome = filepath.Join(l.Dir, "bastion", "home")
	for _, home := range []string{l.Home, l.DevHome} {
		if err := os.MkdirAll(home, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(home, 0o700); err != nil {
			return err
		}
	}
	return os.Chown(l.DevHome, l.UID, l.UID)
}

// writeEtc writes the files that a machine has in place of the host's.
func (l *Lab) writeEtc(ns NS, m *machine, names []string) error {
	if err := os.MkdirAll(m.etc, 0o755); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"resolv.conf":   "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\n",
	} {
		if err := os.WriteFile(filepath.Join(m.etc, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := l.writeAccounts(ns, m.etc, "/bin/sh"); err != nil {
		return err
	}
	m.hosts.path = filepath.Join(m.etc, "hosts")
	m.hosts.names = make(map[string]string)
	if err := l.AddHost(ns, "127.0.0.1", "localhost"); err != nil {
		return err
	}
	aws := VPCEndpoint
	if ns == Laptop {
		aws = PublicAddr
		if err := l.AddHost(ns, BastionAddr, BastionName); err != nil {
			return err
		}
	}
	return l.AddHost(ns, aws, slices.Concat(dynamoDB, names)...)
}

// writeAccounts writes a machine's accounts: the host's, but that the laptop's
// root lives in Home, for ssh believes passwd and not $HOME, and that the
// bastion has User. Nobody has a password; User is not locked for that, since
// sshd without PAM locks only those that begin with "!".
func (l *Lab) writeAccounts(ns NS, etc, shell string) error {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	group, err := os.ReadFile("/etc/group")
	if err != nil {
		return err
	}
	shadow := []byte("root:*:20000:0:99999:7:::\n")
	switch ns {
	case Laptop:
		passwd = fmt.Appendf(nil, "root:x:0:0:root:%s:/bin/sh\n%s", l.Home, passwd)
	case Bastion:
		passwd = fmt.Appendf(passwd, "%s:x:%d:%d::%s:%s\n", User, l.UID, l.UID, l.DevHome, shell)
		group = fmt.Appendf(group, "%s:x:%d:\n", User, l.UID)
		shadow = fmt.Appendf(shadow, "%s:*:20000:0:99999:7:::\n", User)
	}
	for _, file := range []struct {
		name    string
		content []byte
		perm    os.FileMode
	}{{"passwd", passwd, 0o644}, {"group", group, 0o644}, {"shadow", shadow, 0o600}} {
		if err := os.WriteFile(filepath.Join(etc, file.name), file.content, file.perm); err != nil {
			return err
		}
	}
	return nil
}
