package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// NS names one of the three machines.
type NS string

// The three machines of a lab.
const (
	Laptop  NS = "laptop"
	Bastion NS = "bastion"
	AWS     NS = "aws"
)

// namespace is a network namespace without a name: the file keeps it alive,
// and the kernel takes it away with the last file, socket and process in it.
type namespace struct {
	file  *os.File
	inode uint64
	home  *os.File // the test process's own namespace
}

// openNS opens the calling thread's network namespace.
func openNS() (*os.File, error) {
	return os.OpenFile("/proc/thread-self/ns/net", os.O_RDONLY, 0)
}

// newNamespace makes an empty network namespace. home is where its threads
// return to.
func newNamespace(home *os.File) (*namespace, error) {
	ns := &namespace{home: home}
	err := onThread(home, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		f, err := openNS()
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			f.Close()
			return fmt.Errorf("stat a network namespace: %w", err)
		}
		ns.file, ns.inode = f, st.Ino
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ns, nil
}

// onThread runs f on a thread that it may move to another network namespace.
// The thread goes back to home afterwards; one that cannot stays locked, and so
// dies with its goroutine instead of carrying other goroutines elsewhere.
func onThread(home *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := f()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// do runs f on a thread inside the namespace. Sockets and processes that f
// makes on its own goroutine belong to the namespace for good.
func (n *namespace) do(f func() error) error {
	return onThread(n.home, func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// path names the namespace for other processes, as long as this one lives.
func (n *namespace) path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd())
}

// ip runs iproute2 commands, one a line, inside the namespace.
func (n *namespace) ip(lines ...string) error {
	return n.do(func() error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ip: %w: %s", err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}

// sysctl sets kernel parameters of the namespace, by their path under
// /proc/sys/net.
func (n *namespace) sysctl(values map[string]string) error {
	return n.do(func() error {
		for name, value := range values {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
				return fmt.Errorf("set a kernel parameter: %w", err)
			}
		}
		return nil
	})
}

// Listen announces on an address of a machine, from this process. The listener
// is the caller's to close.
func (l *Lab) Listen(ns NS, network, addr string) (net.Listener, error) {
	n, err := l.namespace(ns)
	if err != nil {
		return nil, err
	}
	var ln net.Listener
	err = n.do(func() error {
		ln, err = net.Listen(network, addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("on the %s: %w", ns, err)
	}
	return ln, nil
}

// Dial connects from a machine to addr, from this process. Names are looked up
// among the machine's own, never in DNS; an unknown one is a [*net.DNSError].
func (l *Lab) Dial(ctx context.Context, ns NS, network, addr string) (net.Conn, error) {
	n, err := l.namespace(ns)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ip, err := l.Lookup(ns, host)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	err = n.do(func() error {
		// A literal address keeps the dialer on this goroutine; names would
		// send it to others, on threads that are elsewhere.
		conn, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(ip, port))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("on the %s: %w", ns, err)
	}
	return conn, nil
}

// Dialer returns Dial bound to one machine, for a DialContext field.
func (l *Lab) Dialer(ns NS) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return l.Dial(ctx, ns, network, addr)
	}
}
