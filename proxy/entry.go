package proxy

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"
)

// An entry is what the log says of one request: never a body, a header or a signature.
type entry struct {
	start  time.Time
	call   call
	target string // of CONNECT
	keyID  string // the caller's
	awsID  string // x-amzn-RequestId of AWS's answer
	status int
	bytes  int64
	err    error
	denied *Denied // by AWS; nil: not
	name   string  // id, once it was asked for
}

// id tells the request from others. It is in the x-amzn-RequestId of our own answers too.
func (e *entry) id() string {
	if e.name == "" {
		e.name = "DDBPROXY" + rand.Text()
	}
	return e.name
}

func (e *entry) log(l *slog.Logger) {
	ctx := context.Background()
	if !l.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{slog.String("id", e.id())}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("op", e.call.op)
	add("table", oneLine(e.call.field("TableName"), 255))
	add("host", e.call.host)
	add("connect", oneLine(e.target, 120))
	add("key", brief(e.keyID))
	add("aws", e.awsID)
	attrs = append(attrs, slog.Int("status", e.status), slog.Int64("bytes", e.bytes), slog.Int64("ms", time.Since(e.start).Milliseconds()))
	if d := e.denied; d != nil {
		why, _ := d.Explain(d.Path)
		add("denied", string(d.Cause(d.Path)))
		add("why", why)
	}
	if e.err != nil {
		add("err", oneLine(e.err.Error(), 600))
	}
	l.LogAttrs(ctx, slog.LevelDebug, "request", attrs...)
}
