//go:build linux

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/doctor"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

const stsName = "sts." + lab.Region + ".amazonaws.com"

// becomeEC2 gives the bastion the instance metadata of EC2, by IMDSv2.
func (r *rig) becomeEC2() {
	r.tb.Helper()
	const service = "169.254.169.254"
	if out, err := r.Command(r.tb.Context(), lab.Bastion, "ip", "address", "add", service+"/32", "dev", "lo").CombinedOutput(); err != nil {
		r.tb.Fatalf("ip: %v\n%s", err, out)
	}
	ln, err := r.Listen(lab.Bastion, "tcp", service+":80")
	if err != nil {
		r.tb.Fatal(err)
	}
	const card = "network/interfaces/macs/02:00:00:00:00:01/"
	values := map[string]string{"placement/region": lab.Region, "instance-id": instanceID, "local-ipv4": lab.BastionVPC, "mac": "02:00:00:00:00:01",
		card + "vpc-id": "vpc-0e2e", card + "subnet-id": "subnet-0e2e", card + "security-group-ids": "sg-0e2e"}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		value, known := values[strings.TrimPrefix(q.URL.Path, "/latest/meta-data/")]
		switch {
		case q.Method == http.MethodPut && q.URL.Path == "/latest/api/token":
			_, _ = w.Write([]byte("token"))
		case q.Header.Get("X-aws-ec2-metadata-token") != "token":
			http.Error(w, "", http.StatusUnauthorized)
		case !known:
			http.NotFound(w, q)
		default:
			_, _ = w.Write([]byte(value))
		}
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	r.tb.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
}

// doctor runs `ddbproxy doctor … --json`.
func (r *rig) doctor(args ...string) (code int, report doctor.Report) {
	r.tb.Helper()
	got := r.client([]string{"AWS_CA_BUNDLE=" + r.caFile}, filepath.Join(programs, "ddbproxy"), append([]string{"doctor", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		r.tb.Fatalf("doctor: exit code %d, %v\n%s\n%s", got.code, err, got.out, got.stderr)
	}
	return got.code, report
}

// finds checks results by id: an outcome and what their detail begins with.
func finds(t *testing.T, report doctor.Report, want map[string]string) {
	t.Helper()
	for id, text := range want {
		i := slices.IndexFunc(report.Results, func(r doctor.Result) bool { return r.ID == id })
		if i < 0 {
			t.Errorf("%s is not there", id)
		} else if got := string(report.Results[i].Outcome) + " " + report.Results[i].Detail; !strings.HasPrefix(got, text) {
			t.Errorf("%s is %q, want %q", id, got, text)
		}
	}
	for _, r := range report.Results {
		if _, named := want[r.ID]; r.Outcome == doctor.Failed && !named {
			t.Errorf("%s has failed: %s", r.ID, r.Detail)
		}
	}
}

// The whole way is well: AWS denies the call that passes the endpoint and answers
// the one through it. Nothing changes but for the relay that connect would leave.
func TestDoctorProvesTheWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Uplink: lab.LinkConfig{RTT: 40 * time.Millisecond}, Names: []string{stsName}})
	r.openDoor(lab.SSHDOptions{})
	r.becomeEC2()
	known, err := os.ReadFile(r.door.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	well := map[string]string{
		"laptop.clock": "ok as AWS's", "laptop.identity": "ok arn:aws:iam::123456789012:user/dev", "laptop.port": "ok 127.0.0.1:8000",
		"ssh.configuration": "ok " + lab.User + "@", "ssh.reach": "ok " + lab.BastionAddr + ":22", "ssh.hostkey": "ok ed25519 SHA256:", "ssh.login": "ok as " + lab.User,
		"ssh.sessions": "ok ", "relay.reach": "ok " + ddbName, "relay.tls": "ok " + ddbName + ", by ddbproxy throw-away CA",
		"bastion.place": "ok " + lab.Region + ", vpc-0e2e, subnet-0e2e, " + instanceID, "bastion.dns": "ok " + lab.VPCEndpoint + ": private",
		"proof.direct": "ok denied, as it should be: User: arn:aws:iam::123456789012:user/dev", "proof.tunnel": "ok ListTables is answered", "proof.latency": "ok to the bastion ",
	}
	code, report := r.doctor(lab.BastionName)
	finds(t, report, well)
	if code != 0 || !report.OK || len(report.Facts) != 1 {
		t.Fatalf("exit code %d, ok %v, %d facts", code, report.OK, len(report.Facts))
	}
	if f := report.Facts[0]; f.VPC != "vpc-0e2e" || f.PrivateAddr.String() != lab.BastionVPC || f.Direct == nil || f.Direct.Code != "AccessDeniedException" || f.Through != nil {
		t.Errorf("facts: %+v", f)
	}
	// What AWS has seen: one call past the endpoint, and the others through it.
	var ways []string
	for _, q := range r.aws.Seen().Requests {
		if q.Op == "ListTables" {
			ways = append(ways, q.Vpce)
		}
	}
	if !slices.Equal(ways, []string{"", vpce, vpce}) {
		t.Errorf("ListTables came through %q", ways)
	}
	eventually(t, "the relay is gone from the bastion", func() bool { return len(r.relays()) == 0 })
	if now, err := os.ReadFile(r.door.KnownHosts); err != nil || string(now) != string(known) {
		t.Errorf("known_hosts has changed: %v\n%s", err, now)
	}
	var left []string
	if err := filepath.WalkDir(r.DevHome, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, filepath.Base(path))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || !strings.HasPrefix(left[0], "relay-") {
		t.Errorf("the bastion's user has %q, want the relay alone", left)
	}

	// It goes beside a session, which it finds by itself.
	r.connect()
	well["laptop.port"] = "ok your session's, by " + lab.BastionName
	code, report = r.doctor()
	finds(t, report, well)
	if code != 0 {
		t.Errorf("exit code %d beside a session", code)
	}
	r.listed()
}

// Where a key starts the relay and nothing else, the relay is asked all the same.
func TestDoctorOfALockedDownBastion(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Names: []string{stsName}})
	r.becomeEC2()
	restricted["sshd-config"](r, r.installRelay())
	code, report := r.doctor(lab.BastionName)
	finds(t, report, map[string]string{
		"ssh.forwarding": "ok not allowed, and not needed", "bastion.place": "ok " + lab.Region + ", vpc-0e2e", "bastion.dns": "ok " + lab.VPCEndpoint, "proof.tunnel": "ok ",
	})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Each part of the way that is broken is the one that is named.
func TestDoctorNamesTheFault(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Names: []string{stsName}})
	r.openDoor(lab.SSHDOptions{Config: []string{"MaxSessions 0"}})
	code, report := r.doctor(lab.BastionName, "--carrier", "relay")
	finds(t, report, map[string]string{"ssh.login": "ok ", "ssh.sessions": "failed none", "relay.start": "skipped it needs SSH: sessions, which failed", "proof.direct": "ok denied"})
	if code != 1 {
		t.Errorf("exit code %d without sessions", code)
	}
	code, report = r.doctor(lab.BastionName, "--carrier", "forward")
	finds(t, report, map[string]string{"ssh.forwarding": "ok allowed", "relay.start": "ok none: --carrier forward", "proof.tunnel": "ok ", "bastion.place": "skipped there is no relay"})
	if code != 0 {
		t.Errorf("exit code %d with forwarding", code)
	}
	code, report = r.doctor(lab.BastionName)
	finds(t, report, map[string]string{"ssh.sessions": "ok none", "relay.start": "ok none: ssh forwards instead", "proof.tunnel": "ok "})
	if code != 0 {
		t.Errorf("exit code %d where auto forwards", code)
	}
	r.write(r.door.KnownHosts, "")
	code, report = r.doctor(lab.BastionName)
	finds(t, report, map[string]string{"ssh.reach": "ok ", "ssh.hostkey": "failed ", "ssh.login": "skipped it needs SSH: host key"})
	if code != 1 {
		t.Errorf("exit code %d with an unknown host key", code)
	}
	r.door.Stop()
	code, report = r.doctor(lab.BastionName)
	finds(t, report, map[string]string{"ssh.name": "ok ", "ssh.reach": "failed ", "ssh.hostkey": "skipped it needs SSH: TCP"})
	if code != 1 {
		t.Errorf("exit code %d without sshd", code)
	}
}

// sshd says the same whatever forbids forwarding. Where no relay runs either, no
// line is well that depends on it.
func TestDoctorWhereNothingCarries(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name              string
		config            []string
		sessions, carrier string
	}{
		{"forwarding off", []string{"MaxSessions 0", "AllowTcpForwarding no"}, "failed none", "skipped it needs SSH: sessions, which failed"},
		{"no target", []string{"MaxSessions 0", "PermitOpen none"}, "failed none", "skipped it needs SSH: sessions, which failed"},
		{"another program", []string{"ForceCommand /bin/true", "AllowTcpForwarding no"}, "ok allowed", "failed none: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, lab.Config{Names: []string{stsName}})
			r.openDoor(lab.SSHDOptions{Config: tc.config})
			code, report := r.doctor(lab.BastionName)
			finds(t, report, map[string]string{"ssh.forwarding": "failed the bastion forbids forwarding", "ssh.sessions": tc.sessions,
				"relay.start": tc.carrier, "relay.reach": "skipped it needs ", "proof.tunnel": "skipped it needs "})
			if code != 1 {
				t.Errorf("exit code %d where nothing carries", code)
			}
		})
	}
}
