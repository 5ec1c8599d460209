package tunnel

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// networkGroups are the changes that can end a connection's way: of links,
// addresses and routes (rtnetlink(7)).
const networkGroups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// watchNetwork tells when this machine's network changes, until ctx ends;
// several changes may come as one. The kernel says it at once.
func watchNetwork(ctx context.Context) <-chan struct{} {
	socket, err := listenNetwork()
	if err != nil {
		return pollNetwork(ctx) // a sandbox may forbid it
	}
	changes := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	go func() { // ends with ctx
		defer stop()
		defer socket.Close()
		var message [8 << 10]byte // that one comes is enough: the addresses are asked for elsewhere
		for {
			if _, err := socket.Read(message[:]); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return // ENOBUFS: more changes than were read
			}
			notify(changes)
		}
	}()
	return changes
}

func listenNetwork() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: networkGroups}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}
