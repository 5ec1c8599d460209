//go:build linux

package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newKey makes a key pair with a comment, as ssh-keygen does.
func newKey(t *testing.T, kind string) (private, public string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command(program(t, "ssh-keygen"), "-q", "-t", kind, "-N", "", "-C", "ann@laptop", "-f", name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := os.ReadFile(name + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return string(key), strings.TrimSpace(string(pub))
}

func withoutComment(public string) string { return strings.TrimSuffix(public, " ann@laptop") }

// Each of several bastions shows the host key of the secret and no other, on the
// port of the load balancer too, and a developer's key starts the relay there. Where
// anything is wrong it does not listen for the load balancer at all.
func TestBootMakesOneOfSeveralBastions(t *testing.T) {
	private, public := newKey(t, "ed25519")
	other, _ := newKey(t, "ed25519")
	developer, developerPublic := newKey(t, "ecdsa")
	files := relayFiles(t)
	site, authority := serve(t, files)
	sum := sha256.Sum256(files["/ddbproxy-relay"])
	for _, tt := range []struct {
		name, file, secret string
		fails              int // so many times there is no answer
		want               string
	}{
		{name: "the key", file: "/ddbproxy-relay", secret: private},
		{name: "the key, at the third try", file: "/ddbproxy-relay", secret: private, fails: 2},
		{name: "another key", file: "/ddbproxy-relay", secret: other, want: "is not the private half of " + withoutComment(public)},
		{name: "no key", file: "/ddbproxy-relay", secret: "{}", want: "is not the private half of"},
		{name: "no secret", file: "/ddbproxy-relay", fails: 99, want: "AccessDeniedException"},
		{name: "no relay", file: "/none", secret: private, want: "404"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.write(t, "root/ca.pem", authority, 0o644)
			m.write(t, "root/secret", tt.secret, 0o600)
			m.write(t, "root/developer", developer, 0o600)
			// As the AWS CLI with --output text.
			m.write(t, "usr/local/bin/aws", fmt.Sprintf(`#!/bin/sh
				echo "$*" >>/root/aws
				[ "$(wc -l </root/aws)" -gt %d ] || { echo AccessDeniedException >&2; exit 254; }
				cat /root/secret
				echo
			`, tt.fails), 0o755)
			m.write(t, "opt/aws/bin/cfn-signal", "#!/bin/sh\necho \"$*\" >>/root/signal\n", 0o755)
			// Some systems name the keys.
			sshdConfig, err := os.ReadFile("/etc/ssh/sshd_config")
			if err != nil {
				t.Fatal(err)
			}
			m.write(t, "etc/ssh/sshd_config", string(sshdConfig)+"\nHostKey /etc/ssh/ssh_host_rsa_key\n", 0o600)

			o := fleet(options{})
			o.relay, o.hostKey, o.keys = site+tt.file, withoutComment(public), []string{hostKey, developerPublic}
			script := strings.Replace(bootScript(t, o), relaySum, hex.EncodeToString(sum[:]), 1)
			script = strings.Replace(script, "--retry 5 --retry-all-errors", "", 1)
			out, err := m.run(t, strings.Replace(script, "sleep 10", ":", 1), "CURL_CA_BUNDLE=/root/ca.pem")

			code := 0
			if tt.want != "" {
				code = 1
			}
			signal := m.read("root/signal")
			if !strings.HasSuffix(signal, " --region "+region+" --stack "+stack+" --resource BastionGroup\n") || strings.HasPrefix(signal, "--exit-code 0 ") != (code == 0) {
				t.Errorf("CloudFormation is told %q", signal)
			}
			settings := m.read("etc/ssh/sshd_config.d/00-ddbproxy-fleet.conf")
			if code != 0 {
				if err == nil || !strings.Contains(out, tt.want) || settings != "" {
					t.Errorf("it listens for the load balancer: %v, %s\n%s", err, out, settings)
				}
				return
			}
			if err != nil || !strings.HasSuffix(out, "ddbproxy: sshd listens for the load balancer\n") {
				t.Fatalf("the script: %v\n%s", err, out)
			}
			want := "secretsmanager get-secret-value --region " + region + " --secret-id " + secret + " --query SecretString --output text\n"
			if got := m.read("root/aws"); got != strings.Repeat(want, tt.fails+1) {
				t.Errorf("the AWS CLI was asked for %q", got)
			}
			if info, err := os.Stat(filepath.Join(m.changed, "etc/ssh/ddbproxy_host_ed25519_key")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the host key: %v, %v", info, err)
			}
			if got := m.read("root/systemctl"); got != "reload sshd\nreload sshd\n" {
				t.Errorf("systemctl was asked for %q", got)
			}
			m.logInToFleet(t, withoutComment(public))
		})
	}
}

// logInToFleet has a developer come in by the load balancer's port, with nothing but
// the outputs' line in known_hosts.
func (m *machine) logInToFleet(t *testing.T, public string) {
	t.Helper()
	first, second := freePort(t), freePort(t)
	settings := m.read("etc/ssh/sshd_config.d/00-ddbproxy-fleet.conf")
	if !strings.HasPrefix(settings, "Port 22\nPort 2222\n") {
		t.Errorf("sshd's settings are\n%s", settings)
	}
	m.write(t, "etc/ssh/sshd_config.d/00-ddbproxy-fleet.conf", strings.NewReplacer("Port 22\n", "Port "+first+"\n", "Port 2222\n", "Port "+second+"\n").Replace(settings), 0o644)
	m.write(t, "root/known_hosts", nlb+" "+public+"\n", 0o644)
	out, err := m.run(t, fmt.Sprintf(`set -eu
		ssh-keygen -q -A
		/usr/sbin/sshd -D -e 2>/root/sshd.log &
		ask() {
			ssh -F none -i /root/$2 -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/root/known_hosts -o HostKeyAlias=%[3]s -o UpdateHostKeys=yes -o LogLevel=ERROR -o BatchMode=yes -o ConnectionAttempts=20 -p $1 ddbproxy@127.0.0.1 "id; echo escaped" </dev/null 2>&1 || true
		}
		echo "asked: $(ask %[2]s developer | head -c 400 | tr -cd '[:print:]')"
		echo "the other port: $(ask %[1]s developer | head -c 400 | tr -cd '[:print:]')"
		echo "another key: $(ask %[2]s secret | head -c 400 | tr -cd '[:print:]')"
		echo "keys: $(for kind in ed25519 rsa ecdsa; do ssh-keyscan -t $kind -p %[2]s 127.0.0.1 2>/dev/null | cut -d ' ' -f 2,3; done)"
		echo "known: $(cat /root/known_hosts)"
		echo "files: $(/usr/sbin/sshd -T | grep '^hostkey ')"
	`, first, second, nlb))
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, m.read("root/sshd.log"))
	}
	for _, line := range []string{"asked: ddbproxy-relay 1 ", "the other port: ddbproxy-relay 1 ", "another key: ddbproxy@127.0.0.1: Permission denied"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s\n%s", line, out, m.read("root/sshd.log"))
		}
	}
	if !strings.Contains(out, "keys: "+public+"\nknown: "+nlb+" "+public+"\nfiles: hostkey /etc/ssh/ddbproxy_host_ed25519_key\n") || strings.Contains(out, "escaped") {
		t.Errorf("other host keys are shown, or a command was run:\n%s", out)
	}
}
