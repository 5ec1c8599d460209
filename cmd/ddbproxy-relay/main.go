// Ddbproxy-relay is the far end of ddbproxy, on the bastion. It uses the
// standard library, one parser for its policy file, and Landlock.
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/ddbproxy/ddbproxy/internal/relayd"
)

func main() {
	// One processor is enough to copy, and hands nothing over to another: scans
	// take a quarter less of a small bastion.
	runtime.GOMAXPROCS(1)
	p := relayd.Program{Stdin: polled(os.Stdin), Stdout: polled(os.Stdout), Stderr: os.Stderr, Policy: relayd.PolicyFile, Confine: confine}
	os.Exit(p.Run(context.Background(), os.Args[1:]))
}
