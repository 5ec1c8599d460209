package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/ddbproxy/ddbproxy/internal/relaybin"
	"github.com/ddbproxy/ddbproxy/internal/version"
)

// versionInfo is what version --json prints: fields may come, and stay as they
// are.
type versionInfo struct {
	Version  string   `json:"version"`
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Relays   []string `json:"relays"` // those that can be uploaded
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Prints the version; with --json also what it was built with and for, and the
platforms of bastions that it has a relay for.`,
		Example: `  ddbproxy version
  ddbproxy version --json | jq -r .version`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !asJSON {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "ddbproxy "+version.String())
				return err
			}
			v := versionInfo{Version: version.String(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Relays: []string{}}
			for _, arch := range []string{"amd64", "arm64"} {
				if relaybin.For("linux", arch) != nil {
					v.Relays = append(v.Relays, "linux/"+arch)
				}
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(v)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
