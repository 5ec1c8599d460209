//go:build linux

// Command bench measures ddbproxy beside other ways through a bastion, all of
// them up at the same time in one emulated network (package lab) and measured in
// turns, so that a busy machine is busy for all alike.
//
//	make bench                                      # the default conditions
//	go build -o bin/bench ./scripts/bench
//	bin/bench -load scan8 -peer relay,ssh-L -rtt 40ms
//	bin/bench -load get64 -peer relay,relay2 -ddbproxy old/ddbproxy,new/ddbproxy
//
// It needs root, OpenSSH, sshuttle, and a ddbproxy that has its relays ("make
// build"). The far end is a server that answers with ready-made answers, in a
// process of its own: what is measured is the way there.
package main
