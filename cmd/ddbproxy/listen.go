package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// defaultPort is DynamoDB Local's, which tools for DynamoDB know.
const defaultPort = "8000"

// listen opens the local addresses. Clients mean 127.0.0.1 or ::1 by
// "localhost", so the default and a bare port are both; a machine without IPv6
// has the first only. Other machines are let in only where anywhere says so.
func listen(addrs []string, anywhere bool) ([]net.Listener, error) {
	var open []net.Listener
	fail := func(err error) ([]net.Listener, error) {
		for _, l := range open {
			l.Close()
		}
		return nil, err
	}
	if len(addrs) == 0 {
		addrs = []string{defaultPort}
	}
	for _, a := range addrs {
		if port, ok := strings.CutPrefix(a, "localhost:"); ok {
			a = port
		}
		if _, err := strconv.ParseUint(a, 10, 16); err == nil {
			l, err := listenOne("127.0.0.1:"+a, false)
			if err != nil {
				return fail(err)
			}
			open = append(open, l)
			_, port, _ := net.SplitHostPort(l.Addr().String()) // for port 0
			l, err = listenOne("[::1]:"+port, false)
			switch {
			case err == nil:
				open = append(open, l)
			case errors.Is(err, syscall.EADDRINUSE):
				return fail(err)
			}
			continue
		}
		l, err := listenOne(a, anywhere)
		if err != nil {
			return fail(err)
		}
		open = append(open, l)
	}
	return open, nil
}

func listenOne(addr string, anywhere bool) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, usageError("write it as 127.0.0.1:8000, [::1]:8000 or 8000", "--listen %s: not an address", addr)
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	switch {
	case err != nil:
		return nil, usageError("write it as 127.0.0.1:8000, [::1]:8000 or 8000", "--listen %s: %q is not an IP address", addr, host)
	case !ip.IsLoopback() && !anywhere:
		return nil, usageError("listen on 127.0.0.1 or ::1; --listen-anywhere is for containers and other machines that are meant to reach it",
			"--listen %s: not a loopback address, and whoever reaches the port could try to use your session", addr)
	}
	network := "tcp4" // "tcp" would take 0.0.0.0 for every IPv6 address too
	if ip.Is6() {
		network = "tcp6"
	}
	l, err := net.Listen(network, net.JoinHostPort(ip.String(), port))
	if errors.Is(err, syscall.EADDRINUSE) {
		text := fmt.Errorf("local: %s is in use%w", addr, err)
		if who := portOwner(port); who != "" {
			text = fmt.Errorf("local: %s is in use by %s", addr, who)
		}
		return nil, &exitError{exitPort, &inUse{text}, "end that program, or take another port: --listen 8001"}
	}
	if err != nil {
		hint := "take another port: --listen 8001"
		switch {
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			hint = "give --listen an address of this machine"
		case errors.Is(err, fs.ErrPermission):
			hint = "ports below 1024 are the system's on most machines: --listen 8000"
		}
		return nil, &exitError{exitPort, fmt.Errorf("local: %w", err), hint}
	}
	return l, nil
}

// inUse keeps the kind of error under a text that names the program.
type inUse struct{ error }

func (e *inUse) Is(target error) bool { return target == syscall.EADDRINUSE }

// listenPorts are those that o was told to listen on; "0" is any.
func (o *connectOptions) listenPorts() (ports []string) {
	for _, a := range o.listen {
		if _, port, err := net.SplitHostPort(a); err == nil {
			a = port
		}
		ports = append(ports, a)
	}
	return ports
}

// checkNames refuses what cannot be in a Host header.
func checkNames(names []string) error {
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "/@*: ") {
			return usageError("give a name such as host.docker.internal, without scheme and port", "--listen-name %q: not a name", name)
		}
	}
	return nil
}

// exposed are the addresses of listeners that other machines may reach.
func exposed(ls []net.Listener) (addrs []string) {
	for _, l := range ls {
		if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			addrs = append(addrs, a.String())
		}
	}
	return addrs
}

// namesBeyond are what clients that do not come by loopback may call us: names
// that were given, and addresses listened on.
func namesBeyond(ls []net.Listener, names []string) []string {
	names = slices.Clone(names)
	for _, l := range ls {
		if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() && !a.IP.IsUnspecified() {
			names = append(names, a.IP.String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// endpointURL is the URL for clients on this machine. They take "localhost" for
// 127.0.0.1 or for ::1, so it has to be ours at both: at the other another user's
// program could listen.
func endpointURL(ls []net.Listener) string {
	host, port, _ := net.SplitHostPort(ls[0].Addr().String())
	switch host {
	case "127.0.0.1", "0.0.0.0":
		host = "127.0.0.1"
		if listens(ls, net.IPv6loopback, port) || !canListen("[::1]:0") {
			host = "localhost"
		}
	case "::1", "::":
		host = "::1"
		if listens(ls, net.IPv4(127, 0, 0, 1), port) {
			host = "localhost"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// listens reports whether one of the listeners is at ip, or at any address of its
// kind.
func listens(ls []net.Listener, ip net.IP, port string) bool {
	return slices.ContainsFunc(ls, func(l net.Listener) bool {
		a, ok := l.Addr().(*net.TCPAddr)
		return ok && strconv.Itoa(a.Port) == port && (a.IP.Equal(ip) || a.IP.IsUnspecified() && (a.IP.To4() == nil) == (ip.To4() == nil))
	})
}

// canListen reports whether this machine has an address.
func canListen(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		l.Close()
	}
	return err == nil
}
