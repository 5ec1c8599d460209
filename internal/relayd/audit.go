package relayd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// auditor writes a line for each connection: who had it, as sshd tells, and what
// became of it. Text from the client is quoted.
type auditor struct {
	handler slog.Handler
	trouble *slog.Logger // told when a line cannot be written
}

func newAuditor(w io.Writer, trouble *slog.Logger) *auditor {
	plain := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{} // syslog has them
		}
		return a
	}}
	return &auditor{slog.NewTextHandler(w, plain).WithAttrs(whoever()), trouble}
}

// whoever describes who started this relay: the account, the address that ssh
// came from, and the key, where sshd has ExposeAuthInfo.
func whoever() []slog.Attr {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	// A name that the machine does not know the relay takes from $USER.
	attrs := []slog.Attr{slog.String("user", name), slog.Int("uid", os.Getuid())}
	if from := strings.Fields(os.Getenv("SSH_CONNECTION")); len(from) == 4 {
		attrs = append(attrs, slog.String("from", net.JoinHostPort(from[0], from[1])))
	}
	if file := os.Getenv("SSH_USER_AUTH"); file != "" {
		// Where sshd has no ExposeAuthInfo but AcceptEnv *, the client names it.
		if text, err := readFile(file); err == nil {
			attrs = append(attrs, slog.String("login", logins([]byte(text))))
		}
	}
	return attrs
}

// logins reads sshd's list of what was accepted, a method a line and behind
// publickey the key, which its fingerprint stands for.
func logins(text []byte) string {
	var methods []string
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		method := fields[0]
		if len(fields) >= 3 && method == "publickey" {
			if key, err := base64.StdEncoding.DecodeString(fields[2]); err == nil {
				sum := sha256.Sum256(key)
				method = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
			}
		}
		methods = append(methods, method)
	}
	return strings.Join(methods, ",")
}

// write is a relay.Server's Audit.
func (a *auditor) write(r relay.Record) {
	line := slog.NewRecord(time.Time{}, slog.LevelInfo, "connection", 0)
	add := func(key, value string) {
		if value != "" {
			line.AddAttrs(slog.String(key, value))
		}
	}
	add("id", r.ID)
	add("client", r.Client)
	add("target", r.Target)
	add("addr", r.Addr)
	line.AddAttrs(slog.Int64("up", r.Up), slog.Int64("down", r.Down), slog.Int64("ms", time.Since(r.Began).Milliseconds()))
	add("refused", string(r.Kind))
	add("reason", r.Reason)
	if err := a.handler.Handle(context.Background(), line); err != nil {
		a.trouble.Warn("a line of the audit is lost", "err", err)
	}
}
