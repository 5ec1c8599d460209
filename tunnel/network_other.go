//go:build !linux

package tunnel

import "context"

// watchNetwork tells when this machine's network changes, until ctx ends.
func watchNetwork(ctx context.Context) <-chan struct{} { return pollNetwork(ctx) }
