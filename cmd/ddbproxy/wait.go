package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// lookAgain is how often the sockets and logs of sessions are looked at, which
// tell nothing by themselves.
const lookAgain = 100 * time.Millisecond

func newWait() *cobra.Command {
	var port string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until a session is up",
		Long: `Waits until a session runs and has a bastion, and prints its endpoint. The exit
code is 0 then; when the time is over it is 3 where a session has no bastion,
and 1 where none is running.`,
		Example: `  ddbproxy connect dev@bastion &
  ddbproxy wait --timeout 30s && aws dynamodb list-tables`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usageError("give a duration such as 30s", "--timeout %v: not above 0", timeout)
			}
			if err := checkPort(port); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			url, err := awaitSession(ctx, port)
			switch {
			case err == nil:
				_, err = fmt.Fprintln(cmd.OutOrStdout(), url)
				return err
			case cmd.Context().Err() != nil:
				return &exitError{exitInterrupted, errInterrupted, ""}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&port, "local-port", "", "only the session on this local `port`")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait")
	return cmd
}

// awaitSession gives the URL of the first session that is up; when ctx ends
// before, why there is none.
func awaitSession(ctx context.Context, port string) (string, error) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	last := noSession(port)
	for {
		found, _, err := sessions[sessionStatus](ctx, "/status")
		if err != nil {
			return "", err
		}
		if port != "" {
			found = slices.DeleteFunc(found, func(s sessionStatus) bool { return !strings.HasSuffix(s.URL, ":"+port) })
		}
		for _, s := range found {
			if s.Up && !s.Starting {
				return s.URL, nil
			}
			last = &exitError{exitUnreachable, errors.New(s.URL + " has no bastion"), "ddbproxy status"}
			if s.Starting {
				last = &exitError{exitUnreachable, errors.New(s.URL + " is not answered yet"), "ddbproxy status"}
			}
			if len(s.Bastions) > 0 && s.Bastions[0].Error != "" {
				last = &exitError{exitUnreachable, fmt.Errorf("%s has no bastion: %s", s.URL, relay.Printable(s.Bastions[0].Error, 1000)), "ddbproxy status"}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", last
		}
	}
}
