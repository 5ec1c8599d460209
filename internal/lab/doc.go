// Package lab is a small network on one Linux machine for end-to-end tests and
// measurements: a laptop, a bastion and a piece of AWS, each a network
// namespace of its own, with OpenSSH's sshd on the bastion.
//
//	               Uplink (emulated)             veth
//	laptop ─────────────────────────── bastion ──────── aws (VPC endpoint)
//	  └──────────────────────────────────────────────── aws (public address)
//	              Internet (emulated)
//
// [New] builds it and removes it when the test ends; [Lab.SSHD] puts the
// bastion's door in. The same AWS name resolves to the public address on the
// laptop and to the VPC endpoint on the bastion, as it does for real.
//
//	l := lab.New(t, lab.Config{Uplink: lab.LinkConfig{RTT: 40 * time.Millisecond}})
//	door := l.SSHD(lab.SSHDOptions{})
//	out, err := l.Command(ctx, lab.Laptop, "ssh", "bastion", "id").Output()
//
// The namespaces have no names: they are known by open files of the test
// process, so they end with it however it ends, and nothing under /etc or /run
// is written. It needs root and never touches the host's interfaces, users or
// files, and it ends only processes that run inside namespaces it made.
package lab
