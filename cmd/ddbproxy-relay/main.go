// Ddbproxy-relay is the far end of ddbproxy, on the bastion. It uses the
// standard library only.
package main

import (
	"context"
	"os"

	"github.com/ddbproxy/ddbproxy/internal/relayd"
)

func main() {
	p := relayd.Program{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	os.Exit(p.Run(context.Background(), os.Args[1:]))
}
