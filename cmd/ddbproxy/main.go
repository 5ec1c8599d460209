// Ddbproxy gives a laptop a local endpoint for a DynamoDB that only a bastion
// can reach.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
