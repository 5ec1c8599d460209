package lab

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// vnetHeader is the length of the virtio header in front of each packet.
	// It is carried from one device to the other unread.
	vnetHeader = 10
	// maxPacket is the largest that a device with segmentation offload gives.
	maxPacket = vnetHeader + 65535
)

// tun is one end of an emulated link: a layer 3 device in a namespace.
type tun struct {
	*os.File
	raw syscall.RawConn
}

// openTUN makes a device named name inside the namespace.
func openTUN(n *namespace, name string) (*tun, error) {
	t := new(tun)
	err := n.do(func() error {
		// Non-blocking, so that reads wait in Go's poller and end with Close.
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		ifr, err := unix.NewIfreq(name)
		if err == nil {
			ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
		}
		if err == nil {
			err = unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetHeader)
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("make device %s: %w", name, err)
		}
		t.File = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if t.raw, err = t.SyscallConn(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// setOffload says whether the kernel may hand over TCP segments unsplit, up to
// 64 KiB each. They cost one read and one write instead of 45 of each, but they
// would be lost and timed as one, so links with a rate or loss do without.
func (t *tun) setOffload(on bool) error {
	flags := 0
	if on {
		flags = unix.TUN_F_CSUM | unix.TUN_F_TSO4
	}
	var err error
	if cerr := t.raw.Control(func(fd uintptr) {
		// The argument is the value itself, not a pointer to it.
		err = unix.IoctlSetInt(int(fd), unix.TUNSETOFFLOAD, flags)
	}); cerr != nil {
		return cerr
	}
	return err
}
