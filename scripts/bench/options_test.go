//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "ddbproxy")
	if err := os.WriteFile(binary, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		args       []string
		conditions []string
		peers      []string
		loads      []string // of the first condition
		idle       time.Duration
		wrong      bool
	}{
		{
			name:       "standard",
			conditions: []string{"40ms", "150ms", "40ms 20Mbit/s", "40ms 0.5% loss", "5ms"},
			peers:      []string{"bastion", "ssh-L", "ssh-D", "sshuttle", "relay", "forward", "proxy"},
			loads:      standard[0].loads, idle: 30 * time.Second,
		},
		{
			name:       "a choice, in the order of the report",
			args:       []string{"-rtt", "5ms,40ms", "-rate", "0,20M", "-load", "scan8,cli", "-peer", "relay,ssh-L", "-idle", "2s"},
			conditions: []string{"5ms", "40ms", "5ms 20Mbit/s", "40ms 20Mbit/s"},
			peers:      []string{"ssh-L", "relay"}, loads: []string{"cli", "scan8"}, idle: 2 * time.Second,
		},
		{
			name:       "two programs",
			args:       []string{"-ddbproxy", binary + "," + binary, "-loss", "0.5%", "-load", "cli"},
			conditions: []string{"40ms 0.5% loss"},
			peers:      []string{"bastion", "ssh-L", "ssh-D", "sshuttle", "relay", "forward", "proxy", "relay2", "forward2", "proxy2"},
			loads:      []string{"cli"}, idle: 30 * time.Second,
		},
		{name: "no such load", args: []string{"-load", "fast"}, wrong: true},
		{name: "no such peer", args: []string{"-peer", "relay2"}, wrong: true},
		{name: "no such rate", args: []string{"-rate", "fast"}, wrong: true},
		{name: "no such program", args: []string{"-ddbproxy", "/nowhere/ddbproxy"}, wrong: true},
		{name: "an argument", args: []string{"-full", "cli"}, wrong: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := parseOptions(append([]string{"-ddbproxy", binary}, tt.args...))
			if err != nil != tt.wrong {
				t.Fatalf("error = %v, want one: %t", err, tt.wrong)
			}
			if tt.wrong {
				return
			}
			var conditions []string
			for _, c := range o.conditions {
				conditions = append(conditions, c.String())
			}
			if !slices.Equal(conditions, tt.conditions) {
				t.Errorf("conditions = %q, want %q", conditions, tt.conditions)
			}
			if !slices.Equal(o.peers, tt.peers) {
				t.Errorf("peers = %q, want %q", o.peers, tt.peers)
			}
			if got := o.conditions[0].loads; !slices.Equal(got, tt.loads) {
				t.Errorf("loads = %q, want %q", got, tt.loads)
			}
			if o.idle != tt.idle {
				t.Errorf("idle = %v, want %v", o.idle, tt.idle)
			}
		})
	}
}

func TestProgramOfAPeer(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"relay": 0, "forward": 0, "relay2": 1, "forward3": 2} {
		if got := binaryOf(name); got != want {
			t.Errorf("binaryOf(%s) = %d, want %d", name, got, want)
		}
	}
}
