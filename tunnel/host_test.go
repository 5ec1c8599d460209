package tunnel

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestExpand(t *testing.T) {
	t.Setenv("KEYS", "/my keys")
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	short, _, _ := strings.Cut(machine, ".")
	h := &host{Alias: "box", HostName: "box.example", User: "dev", Port: "2222", HostKeyAlias: "ali", ProxyJump: "one"}
	for in, want := range map[string]string{
		"~/.ssh/id":       home + "/.ssh/id",
		"~other/id":       "~other/id",
		"%d/%h":           home + "/box.example",
		"%n-%p-%r-%k-%j":  "box-2222-dev-ali-one",
		"%u %i %l %L":     me.Username + " " + strconv.Itoa(os.Getuid()) + " " + machine + " " + short,
		"${KEYS}/100%%h":  "/my keys/100%h",
		"${NOT_SET_HERE}": "",
		"plain":           "plain",
	} {
		if got := h.expand(in); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"90": 90 * time.Second, "1m30s": 90 * time.Second, "2H": 2 * time.Hour, "1w1d": 8 * 24 * time.Hour, "0": 0, "2147483647": 2147483647 * time.Second,
	} {
		if got, err := parseTime(in); err != nil || got != want {
			t.Errorf("parseTime(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"soon", "-1", "1x", "m", "2147483648", "9999999w"} {
		if got, err := parseTime(in); err == nil {
			t.Errorf("parseTime(%q) = %v, want an error", in, got)
		}
	}
}
