package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The server of scripts/systemd forbids all that the printed block does.
func TestServerOfItsOwnForbidsAsMuchAsTheBlock(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile(filepath.Join("..", "..", "scripts", "systemd", "sshd_config"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(sshdBlock) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "Match") || strings.HasPrefix(line, "ForceCommand") {
			continue
		}
		n++
		if !strings.Contains("\n"+string(config), "\n"+line+"\n") {
			t.Errorf("scripts/systemd/sshd_config has no %q", line)
		}
	}
	if n < 10 {
		t.Errorf("the block has %d settings", n)
	}
}
