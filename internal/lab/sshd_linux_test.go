package lab

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// run runs a command on the bastion with the laptop's ssh.
func run(t *testing.T, l *Lab, args ...string) (string, error) {
	t.Helper()
	out, err := l.Command(t.Context(), Laptop, "/usr/bin/ssh", args...).CombinedOutput()
	return strings.TrimSuffix(string(out), "\n"), err
}

func TestOpenSSHLogsInAsDev(t *testing.T) {
	t.Parallel()
	l := New(t, Config{})
	s := l.SSHD(SSHDOptions{})
	got, err := run(t, l, "bastion", "id -un; id -u; pwd; getent hosts dynamodb.eu-west-1.amazonaws.com | cut -d' ' -f1")
	want := fmt.Sprintf("dev\n%d\n%s\n%s", l.UID, l.DevHome, VPCEndpoint)
	if got != want || err != nil {
		t.Errorf("got %q, %v, want %q\n%s", got, err, want, s.Log())
	}
	if err := s.WaitLog(t.Context(), "Accepted publickey for dev from "+LaptopAddr); err != nil {
		t.Error(err)
	}
}

func TestSSHDOptionsTakeEffect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options SSHDOptions
		args    []string
		want    string
	}{
		{"PATH", SSHDOptions{Path: "/only:/usr/bin:/bin"}, []string{"bastion", "echo $PATH"}, "/only:/usr/bin:/bin"},
		{"forced command", SSHDOptions{KeyOptions: `restrict,command="echo forced"`}, []string{"bastion", "id"}, "forced"},
		{"config line", SSHDOptions{Config: []string{"ForceCommand echo config"}}, []string{"bastion", "id"}, "config"},
		{
			"match block", SSHDOptions{Config: []string{"MaxSessions 2", "Match User dev", "ForceCommand echo match"}},
			[]string{"bastion", "id"}, "match",
		},
		{"shell", SSHDOptions{Shell: "/bin/bash"}, []string{"bastion", "echo $0"}, "bash"},
		{"port", SSHDOptions{Port: 2222}, []string{"bastion", "echo yes"}, "yes"},
		{"noexec home", SSHDOptions{HomeMount: "noexec"}, []string{"bastion", "cp /bin/true . && ./true 2>&- || echo no"}, "no"},
		{"small home", SSHDOptions{HomeMount: "size=64k"}, []string{"bastion", "head -c 1M /dev/zero >x 2>&- || wc -c <x"}, "65536"},
		{"read-only home", SSHDOptions{HomeMount: "ro"}, []string{"bastion", "touch x 2>&- || echo no"}, "no"},
		{"rsa host key", SSHDOptions{HostKeys: []string{"rsa"}}, []string{"-oHostKeyAlgorithms=rsa-sha2-512", "bastion", "echo yes"}, "yes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := New(t, Config{})
			s := l.SSHD(tt.options)
			got, err := run(t, l, tt.args...)
			if lines := strings.Split(got, "\n"); lines[len(lines)-1] != tt.want || err != nil {
				t.Errorf("got %q, %v, want %q at the end\n%s", got, err, tt.want, s.Log())
			}
		})
	}
}

func TestNoisyProfileReachesStdout(t *testing.T) {
	t.Parallel()
	l := New(t, Config{})
	l.SSHD(SSHDOptions{Shell: "/bin/bash"})
	l.WriteDevFile(".config/noise", "echo welcome\n", 0o600)
	l.WriteDevFile(".bashrc", "stat -c %U . .config .config/noise; . .config/noise\n", 0o644)
	got, err := run(t, l, "bastion", "echo done")
	if want := "dev\ndev\ndev\nwelcome\ndone"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestEncryptedKeyIsTheSameKey(t *testing.T) {
	t.Parallel()
	l := New(t, Config{})
	s := l.SSHD(SSHDOptions{})
	var keys [2]string
	for i, path := range []string{s.Key, s.EncryptedKey()} {
		pem, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.ParsePrivateKey(pem)
		if _, missing := err.(*ssh.PassphraseMissingError); missing {
			signer, err = ssh.ParsePrivateKeyWithPassphrase(pem, []byte(Passphrase))
		} else if i == 1 {
			t.Errorf("%s opens without a passphrase", path)
		}
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = ssh.FingerprintSHA256(signer.PublicKey())
	}
	if keys[0] != keys[1] {
		t.Errorf("keys are %v, want the same twice", keys)
	}
}

// hold logs in and returns a connection that the session keeps open.
func hold(t *testing.T, l *Lab, s *SSHD) net.Conn {
	t.Helper()
	pem, err := os.ReadFile(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, l, Laptop, s.Addr)
	conn, channels, requests, err := ssh.NewClientConn(c, s.Addr, &ssh.ClientConfig{
		User:            User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	client := ssh.NewClient(conn, channels, requests)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// The second one leaves the session, and is to end with it all the same.
	if err := session.Start("setsid sh -c 'sleep 1000' >/dev/null 2>&1 & echo up; exec sleep 1000"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	broken := make(chan error, 1)
	go func() { broken <- client.Wait() }()
	t.Cleanup(func() {
		client.Close()
		<-broken
	})
	return &watched{c, broken}
}

// watched tells when its connection broke.
type watched struct {
	net.Conn
	broken chan error
}

func sessions(t *testing.T, l *Lab) int {
	t.Helper()
	pids, err := processes(inNetwork(l.machines[Bastion].inode))
	if err != nil {
		t.Fatal(err)
	}
	return len(pids)
}

func TestSessionsEndAndTheDaemonComesBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		end       func(*SSHD)
		listening bool
	}{
		{"KillSessions", (*SSHD).KillSessions, true},
		{"Kill", (*SSHD).Kill, false},
		{"Stop", (*SSHD).Stop, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := New(t, Config{})
			s := l.SSHD(SSHDOptions{})
			held := hold(t, l, s).(*watched)
			if n := sessions(t, l); n < 4 {
				t.Errorf("%d processes on the bastion, want the daemon, a session and two sleeps", n)
			}
			tt.end(s)
			select {
			case err := <-held.broken:
				held.broken <- err
			case <-time.After(20 * time.Second):
				t.Fatal("the connection outlived its session")
			}
			want := 0
			if tt.listening {
				want = 1
			}
			if n := sessions(t, l); n != want {
				t.Errorf("%d processes are left on the bastion, want %d", n, want)
			}
			c, err := l.Dial(t.Context(), Laptop, "tcp", s.Addr)
			if err == nil {
				c.Close()
			}
			if got := err == nil; got != tt.listening {
				t.Errorf("dial: %v, want listening: %t", err, tt.listening)
			}
			if !tt.listening {
				s.Start()
			}
			if got, err := run(t, l, "bastion", "echo back"); got != "back" || err != nil {
				t.Errorf("afterwards: %q, %v\n%s", got, err, s.Log())
			}
		})
	}
}

func TestRotatedHostKeyIsRefusedUntilKnown(t *testing.T) {
	t.Parallel()
	l := New(t, Config{})
	s := l.SSHD(SSHDOptions{HostKeys: []string{"ed25519", "ecdsa"}})
	known := s.RotateHostKey()
	got, err := run(t, l, "bastion", "id")
	if !strings.Contains(got, "REMOTE HOST IDENTIFICATION HAS CHANGED") || err == nil {
		t.Errorf("with the old key: %q, %v", got, err)
	}
	if err := os.WriteFile(s.KnownHosts, []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := run(t, l, "bastion", "echo yes"); got != "yes" || err != nil {
		t.Errorf("with the new key: %q, %v", got, err)
	}
}
