//go:build !windows

package tunnel

import (
	"context"
	"net"
)

// defaultAgent is used where SSH_AUTH_SOCK is not set: none.
const defaultAgent = ""

func dialAgent(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}
