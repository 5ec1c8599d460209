package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newLogs() *cobra.Command {
	var port string
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show what a session in the background has said",
		Long: `Prints what a session that was begun with connect --background has said, also
when it has ended; that of the next one on the same port takes its place. With
-f it goes on until Ctrl-C. A session in the foreground says it there.

connect -v --background logs a line for each request too.`,
		Example: `  ddbproxy logs
  ddbproxy logs -f --local-port 8001`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPort(port); err != nil {
				return err
			}
			name, err := findLog(port)
			if err != nil {
				return err
			}
			log, err := os.Open(name)
			if err != nil {
				return err
			}
			defer log.Close()
			return show(cmd.Context(), cmd.OutOrStdout(), log, follow)
		},
	}
	cmd.Flags().StringVar(&port, "local-port", "", "the session's local `port`, where there are several")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is said from now")
	return cmd
}

// findLog is the file for a port, or the only one.
func findLog(port string) (string, error) {
	dirs, err := runtimeDirs()
	if err != nil {
		return "", err
	}
	pattern := port
	if port == "" {
		pattern = "*"
	}
	var names []string
	for _, dir := range dirs {
		found, _ := filepath.Glob(logFile(dir, pattern)) // the pattern is well-formed
		names = append(names, found...)
	}
	switch len(names) {
	case 0:
		return "", &exitError{exitFailed, fmt.Errorf("no session of yours has run in the background"), "begin one: ddbproxy connect --background dev@bastion; one in the foreground says everything there"}
	case 1:
		return names[0], nil
	}
	var ports []string
	for _, name := range names {
		ports = append(ports, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "port-"), ".log"))
	}
	return "", usageError("choose one: ddbproxy logs --local-port "+ports[0], "there are logs of the ports %s", strings.Join(ports, ", "))
}

// show copies a log, and with follow what comes until ctx ends.
func show(ctx context.Context, w io.Writer, log io.Reader, follow bool) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		if _, err := io.Copy(w, log); err != nil || !follow {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
