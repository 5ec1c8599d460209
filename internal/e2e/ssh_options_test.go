//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// options is a lab whose sshd logs what was negotiated, with the laptop's
// files for the rows below.
type options struct {
	*rig
	files string // ~/.ssh
	known string // its one key, as known_hosts has it behind the name
}

func newOptions(t *testing.T) *options {
	t.Helper()
	o := &options{rig: newRig(t, lab.Config{})}
	o.openDoor(lab.SSHDOptions{HostKeys: []string{"ed25519", "rsa"}, Config: []string{"LogLevel DEBUG1"}})
	o.files = filepath.Dir(o.door.Key)
	public, err := os.ReadFile(o.door.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	_, o.known, _ = strings.Cut(strings.SplitAfter(string(public), "\n")[0], " ")
	o.tool(nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(o.files, "other"))
	other, err := os.ReadFile(filepath.Join(o.files, "other.pub"))
	if err != nil {
		t.Fatal(err)
	}
	o.write(filepath.Join(o.files, "by_alias"), "ali "+o.known)
	o.write(filepath.Join(o.files, "revoked_line"), "@revoked * "+o.known+lab.BastionAddr+" "+o.known)
	o.write(filepath.Join(o.files, "address_differs"), lab.BastionName+" "+o.known+lab.BastionAddr+" "+string(other))
	o.write(filepath.Join(o.files, "key"), o.known)
	o.tool(nil, "ssh-keygen", "-q", "-k", "-f", filepath.Join(o.files, "krl"), filepath.Join(o.files, "key"))
	o.tool(nil, "ip", "addr", "add", "192.0.2.3/32", "dev", "uplink")
	if out, err := o.Command(t.Context(), lab.Bastion, "ip", "route", "add", "192.0.2.3", "dev", "uplink").CombinedOutput(); err != nil {
		t.Fatalf("ip route: %v\n%s", err, out)
	}
	return o
}

// row writes ~/.ssh/config: these lines, then what is usual.
func (o *options) row(lines string) {
	o.tb.Helper()
	lines = strings.ReplaceAll(lines, "SSH/", o.files+"/")
	o.configure("Host "+lab.BastionName, lines, "HostName "+lab.BastionAddr, "User "+lab.User, "IdentityFile "+o.door.Key,
		"UserKnownHostsFile "+o.door.KnownHosts, "GlobalKnownHostsFile /dev/null", "StrictHostKeyChecking yes")
}

// Each of these is seen in what sshd logs, with OpenSSH's reading of the
// configuration and with ours.
func TestOptionsReachTheServer(t *testing.T) {
	t.Parallel()
	o := newOptions(t)
	no := o.withoutSSH()
	for _, row := range []struct {
		lines  string
		logged []string
	}{
		{"Ciphers aes256-ctr\nMACs hmac-sha2-512\nKexAlgorithms ecdh-sha2-nistp384\nHostKeyAlgorithms ssh-ed25519\nPubkeyAcceptedAlgorithms ssh-ed25519",
			[]string{"kex: algorithm: ecdh-sha2-nistp384 ", "kex: host key algorithm: ssh-ed25519 ", "cipher: aes256-ctr MAC: hmac-sha2-512 "}},
		{"HostKeyAlgorithms rsa-sha2-256", []string{"kex: host key algorithm: rsa-sha2-256 "}},
		{"BindAddress 192.0.2.3\nAddressFamily inet", []string{"Connection from 192.0.2.3 "}},
		{"IdentityFile SSH/other\nIdentitiesOnly yes", []string{"Failed publickey for dev", "Accepted publickey for dev"}},
		{"HostKeyAlias ali\nUserKnownHostsFile SSH/nowhere SSH/by_alias", []string{"Accepted publickey for dev"}},
		{"UserKnownHostsFile SSH/new\nStrictHostKeyChecking accept-new\nHashKnownHosts yes", []string{"Accepted publickey for dev"}},
	} {
		o.row(row.lines)
		for _, env := range [][]string{nil, no} {
			before := len(o.door.Log())
			s := o.connectWith(env)
			s.stop(os.Interrupt)
			contains(o.rig, o.door.Log()[before:], row.logged...)
		}
	}
	if got, err := os.ReadFile(filepath.Join(o.files, "new")); err != nil || !strings.HasPrefix(string(got), "|1|") || strings.Count(string(got), "\n") != 1 {
		t.Errorf("what was remembered is %q, %v, want one hashed name", got, err)
	}
}

// Each of these forbids what would work otherwise.
func TestOptionsThatRefuseTheServer(t *testing.T) {
	t.Parallel()
	o := newOptions(t)
	agent := o.agent()
	o.tool(agent, "ssh-add", "-q", o.door.Key)
	no := o.withoutSSH()
	for _, row := range []struct {
		lines string
		code  int
		said  string
	}{
		{"UserKnownHostsFile SSH/revoked_line", 4, "the server's host key is marked as revoked at "},
		{"RevokedHostKeys SSH/krl\nHostKeyAlgorithms ssh-ed25519", 4, " is revoked by "},
		{"UserKnownHostsFile SSH/address_differs\nHostName " + lab.BastionName + "\nCheckHostIP yes", 4, "HOST KEY OF ITS ADDRESS DIFFERS"},
		{"UserKnownHostsFile SSH/nowhere", 4, "StrictHostKeyChecking is yes: add the key to "},
		{"AddressFamily inet6\nHostName " + lab.BastionName, 3, "bastion has no IPv6 address; see AddressFamily"},
		{"AddressFamily inet6", 3, lab.BastionAddr + " has no IPv6 address; see AddressFamily"},
		{"BindAddress 203.0.113.99", 3, "cannot assign requested address"},
		{"Ciphers aes128-cbc", 3, "no common algorithm"},
		{"PubkeyAcceptedAlgorithms rsa-sha2-512", 5, "is not among PubkeyAcceptedAlgorithms"},
		{"IdentityAgent none\nIdentityFile none", 5, "login needs a key, and none was found"},
		{"IdentityAgent SSH/no_agent\nIdentityFile none", 5, "no_agent: connect: no such file"},
	} {
		o.row(row.lines)
		if strings.Contains(row.lines, "IdentityFile none") { // it is a list
			config, err := os.ReadFile(o.door.ClientConfig)
			if err != nil {
				t.Fatal(err)
			}
			o.write(o.door.ClientConfig, strings.ReplaceAll(string(config), "IdentityFile "+o.door.Key, ""))
		}
		for _, env := range [][]string{agent, append(no, agent...)} {
			o.refuses(t, env, []string{lab.BastionName}, row.code, row.said)
		}
	}
}
