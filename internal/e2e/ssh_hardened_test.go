//go:build linux

package e2e

import (
	"os"
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// hardened is what guides to a safe sshd come to.
var hardened = []string{
	"AllowTcpForwarding no", "AllowStreamLocalForwarding no", "AllowAgentForwarding no", "X11Forwarding no", "PermitTTY no", "PermitTunnel no",
	"PermitUserEnvironment no", "AuthenticationMethods publickey", "MaxAuthTries 2", "LoginGraceTime 10", "ClientAliveInterval 5", "Compression no",
	"Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com", "KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256",
	"MACs hmac-sha2-512-etm@openssh.com", "HostKeyAlgorithms ssh-ed25519", "PubkeyAcceptedAlgorithms ssh-ed25519",
}

// The upload and the relay have a session each, one after the other.
func TestHardenedServerTakesTheRelay(t *testing.T) {
	t.Parallel()
	for _, sessions := range []string{"MaxSessions 2", "MaxSessions 1"} {
		t.Run(sessions, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			r.openDoor(lab.SSHDOptions{Config: append([]string{sessions}, hardened...)})
			s := r.connect()
			s.serves(t, []string{byUpload, byRelay}, []string{byForward})
			s.stop(os.Interrupt)
			r.connect().serves(t, []string{byRelay}, []string{byUpload, byForward})
		})
	}
}

func TestHardenedServerForcesTheRelay(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	installed := r.installRelay()
	force := "ForceCommand " + installed + " -region " + lab.Region
	r.openDoor(lab.SSHDOptions{Config: append([]string{"MaxSessions 1", force}, hardened...)})
	s := r.connect()
	s.serves(t, []string{byRelay}, []string{byUpload, byForward})
	// The relay that ended is started again on the one session there may be.
	kill(t, r.relays())
	r.listed()
	r.door.KillSessions()
	r.listed()
}

// A shell that is none of sh's kin, with a greeting of its own.
func TestFishWithAGreetingTakesTheRelay(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.WriteDevFile(".config/fish/config.fish", "echo Welcome to fish\necho 'disk usage: 81%' >&2\nset -gx LANG C\n", 0o644)
	r.openDoor(lab.SSHDOptions{Shell: "/usr/bin/fish"})
	s := r.connect()
	s.serves(t, []string{byUpload, byRelay}, []string{byForward})
	s.stop(os.Interrupt)
	r.connect().serves(t, []string{byRelay}, []string{byUpload, byForward})
}
