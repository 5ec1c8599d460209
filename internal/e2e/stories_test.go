//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
	"github.com/ddbproxy/ddbproxy/internal/story"
)

// TestStories plays testdata/stories: what a user types on the laptop, with a real
// sshd on the bastion and AWS's real clients.
func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/stories/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("stories: %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{}, roleUser, func(s *edge.Server) {
				s.Names = []string{ddbName, "dynamodb-fips." + lab.Region + ".amazonaws.com", interfaceName}
			})
			if err := r.AddHost(lab.Bastion, lab.VPCEndpoint, interfaceName); err != nil {
				t.Fatal(err)
			}
			r.openDoor(lab.SSHDOptions{})
			programs := map[string]string{
				"ddbproxy": filepath.Join(programs, "ddbproxy"), "aws": "/usr/bin/aws", "curl": "/usr/bin/curl",
				"boto3": lab.ClientScript(t, "boto3_story.py"), "js": lab.ClientScript(t, "jsv3_story.mjs"),
			}
			bin := filepath.Join(r.Dir, "bin")
			for name, path := range programs {
				r.onLaptop(bin, name, path)
			}
			testscript.Run(t, testscript.Params{Files: []string{file}, Cmds: story.Commands(), Setup: func(e *testscript.Env) error {
				e.Vars = append(e.Vars, "PATH="+bin+":/usr/local/bin:/usr/bin:/bin", "HOME="+r.Home, "XDG_RUNTIME_DIR="+r.runtime,
					"AWS_CA_BUNDLE="+r.caFile, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "LANG=C.UTF-8",
					"KEY="+keyID, "SECRET="+secret, "ROLE="+roleKeyID, "ROLE_SECRET="+roleSecret, "ROLE_TOKEN="+roleToken, "ENDPOINT="+interfaceName)
				return nil
			}})
			eventually(t, "no relay is left on the bastion", func() bool { return len(r.relays()) == 0 })
		})
	}
}

// interfaceName is that of an interface endpoint in the bastion's VPC.
const interfaceName = "vpce-0e2e0e2e0e2e0e2e0-abcdefgh.dynamodb." + lab.Region + ".vpce.amazonaws.com"

// onLaptop makes a program of bin that runs path on the laptop.
func (r *rig) onLaptop(bin, name, path string) {
	r.tb.Helper()
	var words []string
	for _, arg := range r.Command(r.tb.Context(), lab.Laptop, path).Args {
		words = append(words, "'"+strings.ReplaceAll(arg, "'", `'\''`)+"'")
	}
	file := filepath.Join(bin, name)
	r.write(file, fmt.Sprintf("#!/bin/sh\nexec unshare --mount -- %s \"$@\"\n", strings.Join(words, " ")))
	if err := os.Chmod(file, 0o755); err != nil {
		r.tb.Fatal(err)
	}
}
