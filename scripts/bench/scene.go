//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

const ddbName = "dynamodb." + lab.Region + ".amazonaws.com"

// The developer's keys. The pretend AWS believes anybody; ddbproxy does not.
const (
	keyID  = "AKIABENCHDEVELOPER00"
	secret = "bench/secret/of/nobody"
)

// scene is the lab with its AWS, and a laptop whose ~/.aws has the keys.
type scene struct {
	*lab.Lab
	tb      *standIn
	options options
	ca      *edge.CA
	caFile  string
	answers map[string]answer
	doors   map[string]door // by peer
	peers   []*peer
}

// door is an sshd that one peer has for itself, so that what runs on the bastion
// for whom is known.
type door struct {
	*lab.SSHD
	pid int
}

func newScene(ctx context.Context, tb *standIn, o options) (*scene, error) {
	for program, pkg := range map[string]string{"/usr/bin/ssh": "openssh-client", "/usr/sbin/sshd": "openssh-server", "/usr/bin/sshuttle": "sshuttle"} {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("%s is missing: apt-get install %s", program, pkg)
		}
	}
	s := &scene{Lab: lab.New(tb, lab.Config{}), tb: tb, options: o, answers: answers(), doors: map[string]door{}}
	ca, err := edge.NewCA()
	if err != nil {
		return nil, err
	}
	s.ca, s.caFile = ca, filepath.Join(s.Dir, "aws-ca.pem")
	for path, content := range map[string]string{
		s.caFile:                                     string(ca.PEM()),
		filepath.Join(s.Home, ".aws", "config"):      "[default]\nregion = " + lab.Region + "\noutput = json\n",
		filepath.Join(s.Home, ".aws", "credentials"): "[default]\naws_access_key_id = " + keyID + "\naws_secret_access_key = " + secret + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	// Programs that dial the VPC endpoint by themselves have to get as far as
	// sshuttle's rules: there is a default route on a real laptop.
	if out, err := s.Command(ctx, lab.Laptop, "ip", "route", "add", lab.VPCEndpoint, "dev", "uplink").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip route: %w: %s", err, out)
	}
	return s, s.startAWS()
}

// startAWS runs this program as the pretend AWS.
func (s *scene) startAWS() error {
	cert, err := s.ca.Issue(ddbName)
	if err != nil {
		return err
	}
	id, err := marshalIdentity(cert)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := s.Command(context.Background(), lab.AWS, self, serveArg)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.tb.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	if err := json.NewEncoder(in).Encode(id); err != nil {
		return err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("the pretend AWS does not start: %q, %w", line, err)
	}
	return nil
}

// openDoor starts a peer's own sshd, once; who is on the bastion needs none.
func (s *scene) openDoor(name string) error {
	if _, open := s.doors[name]; open || name == onBastion {
		return nil
	}
	d := door{SSHD: s.SSHD(lab.SSHDOptions{Name: name, Port: 2201 + len(s.doors)})}
	if d.pid = findProcess(filepath.Dir(d.AuthorizedKeys)); d.pid == 0 {
		return fmt.Errorf("the sshd of %s is not to be found", name)
	}
	s.doors[name] = d
	return nil
}

// setLink makes the link what a condition says.
func (s *scene) setLink(c condition) error {
	if err := s.Uplink.SetRTT(c.rtt); err != nil {
		return err
	}
	if err := s.Uplink.SetRate(c.rate); err != nil {
		return err
	}
	return s.Uplink.SetLoss(c.loss)
}

// roundTrip is the median time of a TCP handshake over the link, which is the
// floor for everything: what the emulation adds to its round trip is in it.
func (s *scene) roundTrip(ctx context.Context) (time.Duration, error) {
	var times []float64
	for range 9 {
		start := time.Now()
		// Nobody listens on the discard port; the refusal takes the same way.
		c, err := s.Dial(ctx, lab.Laptop, "tcp", lab.BastionAddr+":9")
		if err == nil {
			c.Close()
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		times = append(times, float64(time.Since(start)))
	}
	return time.Duration(median(times)), nil
}

// stop ends a program that runs in the lab, as Ctrl-C does, within 10 s.
func stop(cmd *exec.Cmd, ended <-chan struct{}) {
	_ = cmd.Process.Signal(os.Interrupt)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
	}
}
