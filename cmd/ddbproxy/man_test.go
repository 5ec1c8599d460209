package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// TestManPages writes the manual pages into DDBPROXY_MAN_DIR, as "make man"
// does. It is a test so that the program itself goes without the library for
// them and its Markdown, and so that all of them are made in every run.
func TestManPages(t *testing.T) {
	dir := os.Getenv("DDBPROXY_MAN_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	root := newRoot(&console{})
	root.InitDefaultHelpCmd()
	for _, cmd := range append(root.Commands(), root) {
		forMan(cmd)
	}
	header := &doc.GenManHeader{Section: "1", Source: "ddbproxy", Manual: "ddbproxy"} // of SOURCE_DATE_EPOCH
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range append(root.Commands(), root) {
		if !cmd.IsAvailableCommand() {
			continue
		}
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		// Examples stay as they are typed, one below the other.
		for line := range strings.SplitSeq(strings.TrimSpace(cmd.Example), "\n") {
			if want := strings.TrimSpace(line); want != "" && !bytes.Contains(plainRoff(page), []byte(want)) {
				t.Errorf("%s lacks the line %q", cmd.CommandPath(), want)
			}
		}
	}
}

// indented are the lines of help that are typed or tabulated.
var indented = regexp.MustCompile(`(?m)^  `)

// forMan makes Markdown of what is written for terminals.
func forMan(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.Long = indented.ReplaceAllString(cmd.Long, "      ")
	if cmd.Name() == "ddbproxy" {
		cmd.Long += "\n\n" + indented.ReplaceAllString(exitCodes, "      ")
	}
}

// plainRoff takes roff's escapes out again.
func plainRoff(page []byte) []byte {
	return []byte(strings.NewReplacer(`\-`, "-", `\&`, "", `\\`, `\`, `\(ha`, "^", `\(ti`, "~", `\(aq`, "'", `\(dq`, `"`, `\(ga`, "`").Replace(string(page)))
}
