//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

const (
	tableOfRivals = "rivals"
	// autosshCommand is autossh at its best: it restarts ssh whatever ssh's first
	// end was (AUTOSSH_GATETIME=0) and never pauses for long (AUTOSSH_POLL=10).
	autosshCommand  = "autossh -M 0 -o ServerAliveInterval=5 -o ServerAliveCountMax=2 -o ExitOnForwardFailure=yes -o ConnectTimeout=5 -N -L"
	autosshSettings = "AUTOSSH_GATETIME=0 AUTOSSH_POLL=10"
	nearEnd         = "127.0.0.1:9443"
)

// rival is a tool with its load.
type rival struct {
	name    string
	notices func() int // how often it has seen its tunnel go
	signal  func(syscall.Signal)
	reading *load
	writing *load
	running sync.WaitGroup

	mu     sync.Mutex
	done   []turn // since forget, of both loads
	writes []turn // those that are writes
}

// withDDBProxy starts ddbproxy as it is, and makes its clients.
func (r *rig) withDDBProxy() *rival {
	r.tb.Helper()
	s := r.connect("--carrier", "relay")
	v := r.rival("ddbproxy", func() *dynamodb.Client { return r.gosdk(once) })
	v.notices = func() int { return strings.Count(s.stderr.String(), "tunnel down") }
	v.signal = func(sig syscall.Signal) { _ = syscall.Kill(-s.cmd.Process.Pid, sig) } // it leads a session
	return v
}

// withAutossh starts autossh, and makes clients that reach DynamoDB at its near
// end, under DynamoDB's name.
func (r *rig) withAutossh() *rival {
	r.tb.Helper()
	args := strings.Fields(autosshCommand)
	cmd := r.Command(context.Background(), lab.Laptop, args[0], append(args[1:], nearEnd+":"+ddbName+":443", lab.BastionName)...)
	log := filepath.Join(r.Dir, "autossh.log")
	cmd.Env = append(append(cmd.Env, "AUTOSSH_LOGLEVEL=7", "AUTOSSH_LOGFILE="+log), strings.Fields(autosshSettings)...)
	cmd.SysProcAttr.Setsid = true
	start(r.tb, cmd)
	eventually(r.tb, "autossh's near end listens", func() bool {
		conn, err := r.Dial(r.tb.Context(), lab.Laptop, "tcp", nearEnd)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	v := r.rival("autossh, ssh -L", func() *dynamodb.Client {
		return r.sdkOver(&http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return r.Dial(ctx, lab.Laptop, network, nearEnd)
			},
			TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool()}, DisableCompression: true,
		}, once)
	})
	v.notices = func() int {
		said, err := os.ReadFile(log)
		if err != nil {
			r.tb.Error(err)
		}
		return strings.Count(string(said), "ssh exited")
	}
	v.signal = func(sig syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, sig) } // ssh is in its group
	return v
}

// rival makes the loads, each write on a counter of its own.
func (r *rig) rival(name string, client func() *dynamodb.Client) *rival {
	v := &rival{name: name}
	reader, writer := client(), client()
	v.reading = &load{pace: 50 * time.Millisecond, done: v.add, call: func(ctx context.Context, n int) error {
		_, err := reader.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(tableOfRivals), Key: addOne(nil, v.key(0)).Key})
		return err
	}}
	v.writing = &load{pace: 50 * time.Millisecond, call: func(ctx context.Context, n int) error {
		_, err := writer.UpdateItem(ctx, addOne(aws.String(tableOfRivals), v.key(n)))
		return err
	}, done: func(now turn) {
		v.add(now)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.writes = append(v.writes, now)
	}}
	return v
}

// key is that of the counter of a write.
func (v *rival) key(n int) string { return fmt.Sprintf("%s %06d", v.name, n) }

func (v *rival) run(ctx context.Context) {
	v.running.Go(func() { v.reading.run(ctx) })
	v.running.Go(func() { v.writing.run(ctx) })
}

func (v *rival) add(now turn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done = append(v.done, now)
}

func (v *rival) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done, v.writes = nil, nil
}

// since counts the calls that ended after a moment.
func (v *rival) since(moment time.Time) (good, failed int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range v.done {
		switch {
		case t.ended.Before(moment):
		case t.err == nil:
			good++
		default:
			failed++
		}
	}
	return good, failed
}

// account compares the writes since forget with the items that there were at a
// moment: those that were acknowledged by then and are not there, and those that
// were done twice.
func (v *rival) account(items map[string]row, at time.Time) (lost, doubled int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.writes {
		if w.ended.After(at) {
			continue
		}
		n, _ := items[v.key(w.n)]["n"].(*types.AttributeValueMemberN)
		switch {
		case n == nil && w.err == nil:
			lost++
		case n != nil && n.Value != "1":
			doubled++
		}
	}
	return lost, doubled
}

// firstGood is when the first good answer came after a fault was mended, of a
// call begun since the fault.
func (v *rival) firstGood(began, mended time.Time) (after time.Duration, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range v.done {
		if d := t.ended.Sub(mended); t.err == nil && t.began.After(began) && d >= 0 && (!ok || d < after) {
			after, ok = d, true
		}
	}
	return after, ok
}

// watch tells when the rival notices once more.
func (v *rival) watch(ctx context.Context, before int, noticed chan<- time.Time) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for v.notices() <= before {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	noticed <- time.Now()
}

// start runs a program that lasts as long as the test.
func start(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, as it should be
	})
}
