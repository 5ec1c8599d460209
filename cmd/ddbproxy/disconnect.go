package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// endTimeout is for a session's drainTimeout and what it has to close.
const endTimeout = drainTimeout + 10*time.Second

func newDisconnect(c *console) *cobra.Command {
	var port, config string
	cmd := &cobra.Command{
		Use:   "disconnect [[USER@]HOST | TARGET]",
		Short: "End a running session",
		Long: `Ends a session that ddbproxy connect began, as Ctrl-C would: requests in flight
may finish, for 10 seconds. It returns when the port is free. Where several are
running, HOST or the port tells which one.`,
		Example: `  ddbproxy disconnect
  ddbproxy disconnect dev@bastion
  ddbproxy disconnect --local-port 8001`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usageError("ddbproxy disconnect "+args[0], "disconnect takes one HOST, and got %d", len(args))
			case len(args) == 1 && port != "":
				return usageError("give one of them", "HOST and --local-port both tell which session")
			}
			return checkPort(port)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var hosts []string
			if len(args) > 0 {
				f, err := readConfig(config)
				if err != nil {
					return err
				}
				hosts = f.bastionsOf(args[0])
			}
			socket, session, err := chosen(cmd.Context(), hosts, port)
			if err != nil {
				return err
			}
			if err := end(cmd.Context(), socket, session.URL); err != nil {
				return err
			}
			c.say("ddbproxy: the session at %s has ended", session.URL)
			return nil
		},
	}
	cmd.Flags().StringVar(&port, "local-port", "", "the session's local `port`")
	cmd.Flags().StringVar(&config, "config", "", configUsage)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, _ []string, _ string) (hosts []string, _ cobra.ShellCompDirective) {
		found, _, _ := sessions[sessionStatus](cmd.Context(), "/status")
		for _, s := range found {
			for _, b := range s.Bastions {
				hosts = append(hosts, b.Destination)
			}
		}
		return hosts, noFiles
	}
	return cmd
}

// chosen finds the only session, that with one of the hosts for a bastion, or that
// on a port.
func chosen(ctx context.Context, hosts []string, port string) (socket string, session sessionStatus, err error) {
	names, err := sockets()
	if err != nil {
		return "", session, err
	}
	var all, fit []sessionStatus
	var silent []string
	for _, name := range names {
		var s sessionStatus
		if err := ask(ctx, name, "/status", &s); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				silent = append(silent, name)
			}
			continue // else a dead session's
		}
		all = append(all, s)
		if (port == "" || strings.HasSuffix(s.URL, ":"+port)) && (len(hosts) == 0 || slices.ContainsFunc(hosts, s.has)) {
			fit, socket = append(fit, s), name
		}
	}
	switch {
	case len(fit) == 1:
		return socket, fit[0], nil
	case len(fit) > 1:
		return "", session, usageError("choose one: ddbproxy disconnect --local-port 8001", "several sessions are running: %s", listed(fit))
	case len(all) > 0 && len(hosts) > 0:
		return "", session, usageError("running: "+listed(all), "no session of yours goes to %s", strings.Join(hosts, " or "))
	case len(silent) > 0:
		return "", session, noAnswer(silent)
	}
	return "", session, noSession(port)
}

// has reports whether a bastion of the session was given as host, with or
// without the user.
func (s sessionStatus) has(host string) bool {
	return slices.ContainsFunc(s.Bastions, func(b bastionStatus) bool {
		return b.Destination == host || b.Destination[strings.LastIndex(b.Destination, "@")+1:] == host
	})
}

func listed(sessions []sessionStatus) string {
	var texts []string
	for _, s := range sessions {
		text := s.URL
		for _, b := range s.Bastions {
			text += " " + b.Destination
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// end asks the session at a socket to end, and returns when its process has.
func end(ctx context.Context, socket, url string) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	resp, err := call(ctx, socket, http.MethodPost, "/end")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &exitError{exitFailed, fmt.Errorf("the session at %s belongs to a command", url), "it ends with that: ddbproxy exec, or the demo"}
	}
	_, _ = io.Copy(io.Discard, resp.Body) // its end is the process's
	if ctx.Err() != nil {
		return &exitError{exitFailed, fmt.Errorf("the session at %s has not ended within %v", url, endTimeout), "end its process, if it is stopped"}
	}
	return nil
}

// endOn answers that the session ends now. The connection stays, and is closed
// by the end of the process.
func endOn(w http.ResponseWriter, stop func()) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n") // who asked may have left
	stop()
}
