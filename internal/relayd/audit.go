package relayd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strings"
	"syscall"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

const (
	// maxWho bounds a text about who it is, in bytes, some of which are sshd's only
	// where it does not let the client set the environment.
	maxWho = 300
	// maxShort bounds each text of a line that was too long. A fingerprint is 50.
	maxShort = 64
)

// auditor writes a line for each connection: who had it, as sshd tells, and what
// became of it. Text from the client is quoted.
type auditor struct {
	handler slog.Handler
	short   slog.Handler // of the same, for lines that are too long for handler
	trouble *slog.Logger // told when a line cannot be written
}

func newAuditor(w io.Writer, trouble *slog.Logger) *auditor {
	plain := slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{} // syslog has them
		}
		return a
	}})
	who := whoever()
	return &auditor{plain.WithAttrs(who), plain.WithAttrs(shortened(who)), trouble}
}

// whoever describes who started this relay: the account, the address that ssh
// came from, and the key, where sshd has ExposeAuthInfo.
func whoever() []slog.Attr {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = relay.Printable(u.Username, maxWho)
	}
	// A name that the machine does not know the relay takes from $USER.
	attrs := []slog.Attr{slog.String("user", name), slog.Int("uid", os.Getuid())}
	if from := strings.Fields(os.Getenv("SSH_CONNECTION")); len(from) == 4 {
		attrs = append(attrs, slog.String("from", relay.Printable(net.JoinHostPort(from[0], from[1]), maxWho)))
	}
	if file := os.Getenv("SSH_USER_AUTH"); file != "" {
		// Where sshd has no ExposeAuthInfo but AcceptEnv *, the client names it: a
		// pipe, say, that nobody writes to.
		if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
			return attrs
		}
		if text, err := readFile(file); err == nil {
			if login := logins([]byte(text)); login != "" {
				attrs = append(attrs, slog.String("login", login))
			}
		}
	}
	return attrs
}

// write is a relay.Server's Audit.
func (a *auditor) write(r relay.Record) {
	attrs := described(r)
	err := a.handler.Handle(context.Background(), connection(attrs))
	if errors.Is(err, syscall.EMSGSIZE) { // syslog's datagrams have a limit
		attrs = append(shortened(attrs), slog.Bool("short", true))
		err = a.short.Handle(context.Background(), connection(attrs))
	}
	if err != nil {
		a.trouble.Warn("a line of the audit is lost", "err", err)
	}
}

func connection(attrs []slog.Attr) slog.Record {
	line := slog.NewRecord(time.Time{}, slog.LevelInfo, "connection", 0)
	line.AddAttrs(attrs...)
	return line
}

func described(r relay.Record) (attrs []slog.Attr) {
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("id", r.ID)
	add("client", r.Client)
	add("target", r.Target)
	add("addr", r.Addr)
	attrs = append(attrs, slog.Int64("up", r.Up), slog.Int64("down", r.Down), slog.Int64("ms", time.Since(r.Began).Milliseconds()))
	add("refused", string(r.Kind))
	add("reason", r.Reason)
	return attrs
}

// shortened are attrs with the beginnings of their texts.
func shortened(attrs []slog.Attr) []slog.Attr {
	short := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		if short[i] = a; a.Value.Kind() == slog.KindString {
			short[i].Value = slog.StringValue(relay.Printable(a.Value.String(), maxShort))
		}
	}
	return short
}
