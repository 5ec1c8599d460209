//go:build linux

package e2e

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// The user whose IAM policy admits calls through the VPC endpoint only.
const (
	keyID  = "AKIAE2EDEVELOPER"
	secret = "e2e/secret/of/nobody"
	vpce   = "vpce-0e2e0e2e0e2e0e2e0"
)

const ddbName = "dynamodb." + lab.Region + ".amazonaws.com"

// rig is the scenery of a story: a lab with DynamoDB at both of its addresses,
// and a laptop whose ~/.aws has the developer's keys.
type rig struct {
	*lab.Lab
	tb   testing.TB
	aws  *edge.Server
	door *lab.SSHD
	ca   *edge.CA
	// caFile is what AWS_CA_BUNDLE names: the authority of the pretend AWS.
	caFile string
	// runtime is XDG_RUNTIME_DIR of the laptop's user.
	runtime string
}

// newRig builds the scenery; the bastion's door is still missing.
func newRig(tb testing.TB, config lab.Config, changes ...func(*edge.Server)) *rig {
	tb.Helper()
	return newRigOn(tb, config, lab.Dynoxide, changes...)
}

// newRigOn is newRig with another store; changes are made to AWS before it
// opens.
func newRigOn(tb testing.TB, config lab.Config, start func(lab.TB) string, changes ...func(*edge.Server)) *rig {
	tb.Helper()
	lookAtSources(tb)
	l := lab.New(tb, config)
	ca, err := edge.NewCA()
	if err != nil {
		tb.Fatal(err)
	}
	store, err := url.Parse(start(tb))
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{Lab: l, tb: tb, ca: ca, caFile: filepath.Join(l.Dir, "aws-ca.pem"), runtime: filepath.Join(l.Dir, "runtime")}
	r.aws = &edge.Server{
		CA:         ca,
		Region:     lab.Region,
		Users:      map[string]edge.User{keyID: {Secret: secret, Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/dev"}},
		Policy:     edge.Policy{SourceVpce: vpce},
		SourceVpce: edge.FromAddress(vpce, netip.PrefixFrom(netip.MustParseAddr(lab.BastionVPC), 32)),
		Backend:    edge.Emulator(store, nil),
		Keep:       1000,
	}
	for _, change := range changes {
		change(r.aws)
	}
	r.write(r.caFile, string(ca.PEM()))
	r.write(filepath.Join(l.Home, ".aws", "config"), "[default]\nregion = "+lab.Region+"\noutput = json\n")
	r.write(filepath.Join(l.Home, ".aws", "credentials"),
		"[default]\naws_access_key_id = "+keyID+"\naws_secret_access_key = "+secret+"\n")
	if err := os.MkdirAll(r.runtime, 0o700); err != nil {
		tb.Fatal(err)
	}
	r.serve()
	return r
}

// serve opens AWS for both ways in.
func (r *rig) serve() {
	r.tb.Helper()
	var serving sync.WaitGroup
	for _, addr := range []string{lab.PublicAddr, lab.VPCEndpoint} {
		ln, err := r.Listen(lab.AWS, "tcp", addr+":443")
		if err != nil {
			r.tb.Fatal(err)
		}
		serving.Go(func() {
			if err := r.aws.Serve(ln); err != http.ErrServerClosed {
				r.tb.Errorf("AWS: %v", err)
			}
		})
	}
	r.tb.Cleanup(func() {
		r.aws.Close()
		serving.Wait()
	})
}

// openDoor starts the bastion's sshd.
func (r *rig) openDoor(options lab.SSHDOptions) {
	r.tb.Helper()
	r.door = r.SSHD(options)
}

func (r *rig) write(path, content string) {
	r.tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.tb.Fatal(err)
	}
}

// applied is how often DynamoDB has carried out an operation.
func (r *rig) applied(op string) int { return r.aws.Seen().Ops[op].Applied }

// onBastion lists the processes on the bastion whose name begins with one of
// the prefixes.
func (r *rig) onBastion(prefixes ...string) []int {
	r.tb.Helper()
	bastion, err := r.Command(context.Background(), lab.Bastion, "readlink", "/proc/self/ns/net").Output()
	if err != nil {
		r.tb.Fatal(err)
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		r.tb.Fatal(err)
	}
	var pids []int
	for _, link := range links {
		if net, err := os.Readlink(link); err != nil || net != strings.TrimSpace(string(bastion)) {
			continue
		}
		pid := strings.Split(link, "/")[2]
		comm, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue // it has just ended
		}
		for _, p := range prefixes {
			if strings.HasPrefix(string(comm), p) {
				pids = append(pids, atoi(r.tb, pid))
			}
		}
	}
	return pids
}

// relays are the relay processes on the bastion: installed or uploaded ones.
func (r *rig) relays() []int {
	r.tb.Helper()
	return r.onBastion("ddbproxy-relay", "relay-")
}

// eventually waits for something that has no event to wait for.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	within(tb, 30*time.Second, what, ok)
}

// within is eventually with a time of the caller's.
func within(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Errorf("not within %v: %s", limit, what)
			return
		}
	}
}
