package relayd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// lines is a syslog.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func TestAuditHasALineForEachConnection(t *testing.T) {
	auth := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(auth, []byte("publickey ssh-ed25519 "+someKey+"\nkeyboard-interactive\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_USER_AUTH", auth)
	t.Setenv("SSH_CONNECTION", "2001:db8::7 51234 10.0.0.10 22")
	var log lines
	var laptop bytes.Buffer
	near, far := duplex(t)
	p := Program{Stdin: far, Stdout: far, Stderr: new(bytes.Buffer), Audit: &log, Dial: func(context.Context, string, string) (net.Conn, error) {
		a, b := duplex(t)
		go func() {
			b.Read(make([]byte, 100))
			b.Write([]byte("answer"))
			b.Close()
		}()
		return a, nil
	}}
	ended := make(chan int, 1)
	go func() { ended <- p.Run(context.Background(), []string{"-audit"}) }()
	c, err := relay.NewClient(t.Context(), near, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	c.Logger = slog.New(slog.NewTextHandler(&laptop, &slog.HandlerOptions{Level: slog.LevelDebug}))
	conn, err := c.DialContext(t.Context(), "tcp", "dynamodb.eu-west-1.amazonaws.com:443")
	if err != nil {
		t.Fatal(err)
	}
	conn.Write([]byte("ask"))
	var answer bytes.Buffer
	answer.ReadFrom(conn)
	conn.Close()
	if _, err := c.DialContext(t.Context(), "tcp", "evil.example:443"); err == nil {
		t.Fatal("evil.example was dialled")
	}
	c.Close()
	<-ended

	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	who := `msg=connection user=` + regexp.QuoteMeta(me.Username) + ` uid=` + me.Uid + ` from=\[2001:db8::7\]:51234 login="?SHA256:[A-Za-z0-9+/]{43},keyboard-interactive"? id=([A-Z0-9]{12}) client=v1\.2\.3 `
	got := strings.Split(strings.TrimSpace(log.text.String()), "\n")
	if len(got) != 2 {
		t.Fatalf("the audit is %q, want two lines", got)
	}
	for i, want := range []string{
		`target=dynamodb\.eu-west-1\.amazonaws\.com:443 addr=127\.0\.0\.1:\d+ up=3 down=6 ms=\d+$`,
		`target=evil\.example:443 up=0 down=0 ms=\d+ refused=http_request_denied reason="\\"evil\.example:443\\" may not be dialled: .*"$`,
	} {
		m := regexp.MustCompile("^" + who + want).FindStringSubmatch(got[i])
		if m == nil {
			t.Errorf("line %d is %q, want %q", i+1, got[i], who+want)
		} else if !strings.Contains(laptop.String(), "id="+m[1]+" ") {
			t.Errorf("the laptop's log %q has no connection %s", laptop.String(), m[1])
		}
	}
}

// TestAuditQuotesWhatTheClientSays: nobody writes lines of their own into it.
func TestAuditQuotesWhatTheClientSays(t *testing.T) {
	t.Parallel()
	var log lines
	newAuditor(&log, slog.New(slog.DiscardHandler)).write(relay.Record{
		Client: "v1 up=9", Target: "x:443\nmsg=connection user=root", Reason: `no " target=y`, Began: time.Now(),
	})
	text := log.text.String()
	for _, want := range []string{`client="v1 up=9"`, `target="x:443\nmsg=connection user=root"`, `reason="no \" target=y"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q has no %s", text, want)
		}
	}
	if strings.Count(text, "\n") != 1 {
		t.Errorf("%q is not one line", text)
	}
}

// What the environment names may be no list of sshd's.
func TestAuditReadsNoEndlessFile(t *testing.T) {
	t.Setenv("SSH_USER_AUTH", "/dev/zero")
	t.Setenv("SSH_CONNECTION", "root 22 x y z")
	var log lines
	newAuditor(&log, slog.New(slog.DiscardHandler)).write(relay.Record{ID: "A", Began: time.Now()})
	if text := log.text.String(); strings.Contains(text, "login=") || strings.Contains(text, "from=") || !strings.Contains(text, " id=A ") {
		t.Errorf("the audit is %q", text)
	}
}

const someKey = "AAAAC3NzaC1lZDI1NTE5AAAAIHHjvbXKcKaYDLRaOhXCPcPnNpHHDyJSEGl5aGVWAHqd"

func TestLoginsAreWhatSSHDWrites(t *testing.T) {
	t.Parallel()
	const key = "SHA256:ScBmjatfhEC4FzsEdjic2qSd9t4edguf10xlxpMHhe4"
	for _, tc := range []struct{ name, text, want string }{
		{"a key and a code", "publickey ssh-ed25519 " + someKey + "\nkeyboard-interactive/pam\n", key + ",keyboard-interactive"},
		{"the others", "password\nhostbased ssh-ed25519 " + someKey + "\ngssapi-with-mic ann@EXAMPLE\nnone\n", "password,hostbased,gssapi-with-mic,none"},
		{"a key of another type than it says", "publickey ssh-rsa " + someKey + "\n", "publickey"},
		{"no key", "publickey ssh-ed25519 c2VjcmV0\n", "publickey"},
		{"another file", "root:x:0:0:root:/root:/bin/bash\nann:secret\n", ""},
		{"one letter a line", strings.Repeat("a\n", 450_000), ""},
	} {
		if got := logins([]byte(tc.text)); got != tc.want {
			t.Errorf("%s: %.200q, want %q", tc.name, got, tc.want)
		}
	}
	for _, line := range []string{"none\n", "publickey ssh-ed25519 " + someKey + "\n"} {
		got := logins([]byte(strings.Repeat(line, 5000)))
		if len(got) > 310 || !strings.HasSuffix(got, ",...") {
			t.Errorf("%d bytes of %.20q, ending in %q", len(got), line, got[max(0, len(got)-20):])
		}
	}
}

// Whoever may set the environment may name any file in it.
func TestAuditReadsRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	for name, want := range map[string]bool{file: true, link: false, dir: false, os.DevNull: false} {
		t.Setenv("SSH_USER_AUTH", name)
		var log lines
		newAuditor(&log, slog.New(slog.DiscardHandler)).write(relay.Record{ID: "A", Began: time.Now()})
		if text := log.text.String(); strings.Contains(text, "login=password") != want || !strings.Contains(text, " id=A ") {
			t.Errorf("%s: the audit is %q, want login %v", name, text, want)
		}
	}
}

// narrow is a syslog that takes short datagrams only.
type narrow struct {
	lines
	most int
}

func (n *narrow) Write(p []byte) (int, error) {
	if len(p) > n.most {
		return 0, &net.OpError{Op: "write", Net: "unixgram", Err: os.NewSyscallError("write", syscall.EMSGSIZE)}
	}
	return n.lines.Write(p)
}

// TestLineThatIsTooLongIsShortened: nobody gets out of the audit by what they say.
func TestLineThatIsTooLongIsShortened(t *testing.T) {
	t.Setenv("SSH_USER_AUTH", "")
	t.Setenv("SSH_CONNECTION", strings.Repeat("1", 4000)+" 22 10.0.0.10 22")
	long := strings.Repeat("\"", 4000)
	for _, most := range []int{8000, 1000} {
		var told lines
		log := &narrow{most: most}
		newAuditor(log, slog.New(slog.NewTextHandler(&told, nil))).write(relay.Record{
			ID: "A", Client: long, Target: long, Addr: long, Began: time.Now(), Up: 7, Kind: relay.KindDenied, Reason: long,
		})
		text := log.text.String()
		for _, want := range []string{"msg=connection user=", " uid=", " from=", " id=A ", " up=7 ", " refused=", " short=true\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("at most %d: the audit %q has no %s", most, text, want)
			}
		}
		if said := told.text.String(); said != "" {
			t.Errorf("at most %d: told %q", most, said)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestLostAuditIsTold(t *testing.T) {
	t.Parallel()
	var told lines
	newAuditor(broken{}, slog.New(slog.NewTextHandler(&told, nil))).write(relay.Record{})
	if want := `msg="a line of the audit is lost" err=gone`; !strings.Contains(told.text.String(), want) {
		t.Errorf("told %q, want %q", told.text.String(), want)
	}
}
