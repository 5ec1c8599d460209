package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Addresses, the same in every lab: each has its own namespaces.
const (
	LaptopAddr  = "192.0.2.2"    // laptop, on the way to the bastion
	BastionAddr = "192.0.2.1"    // bastion, as the laptop sees it
	BastionVPC  = "10.0.0.10"    // bastion, as the VPC endpoint sees it
	VPCEndpoint = "10.0.0.53"    // AWS, from the bastion only
	PublicAddr  = "203.0.113.53" // AWS, from the laptop only
	LaptopWAN   = "198.51.100.2" // laptop, as the public address sees it
)

// Region is the region of the names that a lab resolves by itself.
const Region = "eu-west-1"

// BastionName is the bastion's name on the laptop.
const BastionName = "bastion"

// Config says what a lab is like. The zero value has perfect links and
// DynamoDB's names of Region.
type Config struct {
	Uplink   LinkConfig // laptop to bastion
	Internet LinkConfig // laptop to AWS's public address
	// Names are further names of AWS, which resolve as DynamoDB's do: to the
	// public address on the laptop, to the VPC endpoint on the bastion.
	Names []string
}

// Lab is the laptop, the bastion and AWS. Its methods may be called by any
// goroutine until the test ends.
type Lab struct {
	Uplink   *Link
	Internet *Link
	// Dir is the lab's temporary directory. All machines see the host's files;
	// what differs is in here.
	Dir string
	// Home is the laptop user's home, where ssh and the AWS tools look for
	// their settings; that user is root.
	Home string
	// DevHome is the home of User on the bastion.
	DevHome string
	// UID is User's user and group id on the bastion.
	UID int

	tb       TB
	home     *os.File // the host's namespace
	machines map[NS]*machine
}

// machine is one host of the lab: its network and its own part of /etc.
type machine struct {
	*namespace
	etc   string
	hosts hosts
}

// New builds a lab and has it removed when the test ends, with every process
// still running in it. It skips the test where it lacks root or iproute2, and
// fails it instead if [RequireEnv] is set. Labs do not disturb each other.
func New(tb TB, config Config) *Lab {
	tb.Helper()
	if os.Geteuid() != 0 {
		skip(tb, "lab: network namespaces need root: run the tests with sudo")
	}
	for _, name := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(name); err != nil {
			skip(tb, "lab: %s is missing: run scripts/test-deps", name)
		}
	}
	l := &Lab{tb: tb, machines: make(map[NS]*machine)}
	tb.Cleanup(func() {
		if err := l.close(); err != nil {
			tb.Logf("lab: clean up: %v", err)
		}
	})
	if err := l.build(config); err != nil {
		tb.Fatalf("lab: %v", err)
	}
	return l
}

func (l *Lab) build(config Config) (err error) {
	if l.home, err = openNS(); err != nil {
		return err
	}
	if l.Dir, err = os.MkdirTemp("", fmt.Sprintf("ddbproxy-%d-", os.Getpid())); err != nil {
		return err
	}
	// The bastion's user has to reach the home inside.
	if err := os.Chmod(l.Dir, 0o755); err != nil {
		return err
	}
	if err := l.users(); err != nil {
		return err
	}
	for _, name := range []NS{Laptop, Bastion, AWS} {
		ns, err := newNamespace(l.home)
		if err != nil {
			return err
		}
		m := &machine{namespace: ns, etc: filepath.Join(l.Dir, string(name), "etc")}
		l.machines[name] = m
		if err := l.writeEtc(name, m, config.Names); err != nil {
			return err
		}
	}
	return l.connect(config)
}

// kernel is what every namespace gets: room for 16 MiB in flight, no lessons
// learnt from earlier connections, no routing through a machine and no IPv6
// but loopback's, whose own chatter would disturb the measuring.
var kernel = map[string]string{
	"ipv4/ip_forward":                "0",
	"ipv4/tcp_rmem":                  "4096 131072 33554432",
	"ipv4/tcp_wmem":                  "4096 65536 33554432",
	"ipv4/tcp_no_metrics_save":       "1",
	"ipv6/conf/default/disable_ipv6": "1",
}

func (l *Lab) connect(config Config) (err error) {
	laptop, bastion, aws := l.machines[Laptop], l.machines[Bastion], l.machines[AWS]
	for _, m := range l.machines {
		if err := m.sysctl(kernel); err != nil {
			return err
		}
		if err := m.ip("link set lo up"); err != nil {
			return err
		}
	}
	if l.Uplink, err = newLink(laptop.namespace, bastion.namespace, "uplink", config.Uplink.Seed); err != nil {
		return err
	}
	if l.Internet, err = newLink(laptop.namespace, aws.namespace, "internet", config.Internet.Seed); err != nil {
		return err
	}
	const up = " up mtu 1500 txqueuelen 4000"
	// TCP goes by the rules that all others begin with, whatever this host does: CUBIC
	// takes the jitter of five machines on one for a full queue (HyStart), and crawls
	// for as long as the connection lives; what BBR paces at depends on the past.
	const congestion = " congctl reno"
	if err := laptop.ip(
		"addr add "+LaptopAddr+" peer "+BastionAddr+" dev uplink",
		"link set uplink"+up,
		"route replace "+BastionAddr+" dev uplink"+congestion,
		"addr add "+LaptopWAN+"/32 dev internet",
		"link set internet"+up,
		// No way to private addresses: AWS would take them on any interface.
		"route add "+PublicAddr+" dev internet src "+LaptopWAN,
	); err != nil {
		return err
	}
	if err := bastion.ip(
		"addr add "+BastionAddr+" peer "+LaptopAddr+" dev uplink",
		"link set uplink"+up,
		"route replace "+LaptopAddr+" dev uplink"+congestion,
		"link add vpc type veth peer name vpc netns "+aws.path(),
		"addr add "+BastionVPC+"/24 dev vpc",
		"link set vpc up",
	); err != nil {
		return err
	}
	if err := aws.ip(
		"addr add "+VPCEndpoint+"/24 dev vpc",
		"link set vpc up",
		"addr add "+PublicAddr+"/32 dev internet",
		"link set internet"+up,
		"route add "+LaptopWAN+" dev internet src "+PublicAddr,
	); err != nil {
		return err
	}
	if err := l.settle(); err != nil {
		return err
	}
	return errors.Join(l.Uplink.set(config.Uplink), l.Internet.set(config.Internet))
}

// settle waits until packets pass everywhere. The kernel drops those sent in
// the first moments after a device came up, and the second that TCP takes to
// send one again would be somebody's measurement.
func (l *Lab) settle() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, way := range []struct {
		from NS
		to   string
	}{{Laptop, BastionAddr}, {Laptop, PublicAddr}, {Bastion, VPCEndpoint}} {
		// Nobody listens yet: the answer is a refusal, and there is one.
		c, err := l.Dial(ctx, way.from, "tcp", way.to+":9")
		switch {
		case err == nil:
			c.Close()
		case !errors.Is(err, syscall.ECONNREFUSED):
			return err
		}
	}
	return nil
}

func (l *Lab) namespace(ns NS) (*namespace, error) {
	m, ok := l.machines[ns]
	if !ok {
		return nil, fmt.Errorf("lab: no machine %q", ns)
	}
	return m.namespace, nil
}

// close removes everything. It works on a lab that is half built.
func (l *Lab) close() error {
	var errs []error
	for _, m := range l.machines {
		errs = append(errs, killAll(inNetwork(m.inode)))
	}
	for _, link := range []*Link{l.Uplink, l.Internet} {
		if link != nil {
			errs = append(errs, link.close())
		}
	}
	for _, m := range l.machines {
		errs = append(errs, m.file.Close())
	}
	if l.home != nil {
		errs = append(errs, l.home.Close())
	}
	if l.Dir != "" {
		errs = append(errs, os.RemoveAll(l.Dir))
	}
	return errors.Join(errs...)
}
