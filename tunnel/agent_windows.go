package tunnel

import (
	"context"
	"net"
	"strings"

	"github.com/Microsoft/go-winio"
)

// defaultAgent is the pipe of the agent that comes with Windows.
const defaultAgent = `\\.\pipe\openssh-ssh-agent`

// dialAgent opens a named pipe, or a unix socket as Git's ssh-agent has.
func dialAgent(ctx context.Context, name string) (net.Conn, error) {
	// ssh_config is often written with slashes: //./pipe/openssh-ssh-agent.
	if pipe := strings.ReplaceAll(name, "/", `\`); strings.HasPrefix(pipe, `\\.\pipe\`) {
		return winio.DialPipeContext(ctx, pipe)
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", name)
}
