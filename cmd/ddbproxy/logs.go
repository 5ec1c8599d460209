package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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
-f it goes on until Ctrl-C. A session in the foreground says it there. Of a long
one the last 4 to 8 MiB are kept.

connect -v --background logs a line for each request too.`,
		Example: `  ddbproxy logs
  ddbproxy logs -f --local-port 8001`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPort(port); err != nil {
				return err
			}
			name, err := findLog(cmd.Context(), port)
			if err != nil {
				return err
			}
			return show(cmd.Context(), cmd.OutOrStdout(), name, follow)
		},
	}
	cmd.Flags().StringVar(&port, "local-port", "", "the session's local `port`, where there are several")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is said from now")
	return cmd
}

// findLog is the file for a port, that of the only session that runs, or the
// only one.
func findLog(ctx context.Context, port string) (string, error) {
	dirs, err := runtimeDirs()
	if err != nil {
		return "", err
	}
	pattern := cmp.Or(port, "*")
	var names []string
	for _, dir := range dirs {
		found, _ := filepath.Glob(logFile(dir, pattern)) // the pattern is well-formed
		names = append(names, found...)
	}
	if len(names) > 1 {
		if running, _, err := sessions[sessionInfo](ctx, "/session"); err == nil && len(running) == 1 {
			if i := slices.IndexFunc(names, func(name string) bool { return filepath.Base(name) == logFile("", running[0].port()) }); i >= 0 {
				return names[i], nil
			}
		}
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

// show copies a log and the one before it, and with follow what comes until ctx
// ends.
func show(ctx context.Context, w io.Writer, name string, follow bool) error {
	if old, err := os.Open(oldLog(name)); err == nil {
		_, err = io.Copy(w, old)
		old.Close()
		if err != nil {
			return err
		}
	}
	log, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { log.Close() }()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		next, found := successor(log, name) // before it is read to its end
		if _, err := io.Copy(w, log); err != nil || !follow {
			return err
		}
		if found {
			log.Close()
			log = next
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// successor opens the file that has a name now, if it is another than log.
func successor(log *os.File, name string) (next *os.File, found bool) {
	before, err := log.Stat()
	if err != nil {
		return nil, false
	}
	if now, err := os.Stat(name); err != nil || os.SameFile(before, now) {
		return nil, false
	}
	next, err = os.Open(name)
	return next, err == nil
}
