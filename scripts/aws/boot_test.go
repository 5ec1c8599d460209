//go:build linux

package aws

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bootScript is the bastion's user data.
func bootScript(t *testing.T, o options) string {
	t.Helper()
	made, _ := cloudFormation(t, o)
	for _, r := range made {
		if r.kind == "AWS::EC2::LaunchTemplate" {
			return r.text("LaunchTemplateData", "UserData")
		}
	}
	t.Fatal("there is no bastion")
	return ""
}

func TestBootScriptIsAsShellcheckLikesIt(t *testing.T) {
	for _, o := range []options{{relay: relayURL}, {relay: relayURL, link: "dynamodb"}, fleet(options{})} {
		name := filepath.Join(t.TempDir(), "boot.sh")
		script := bootScript(t, o)
		if len(script) > 12<<10 { // 16 KB once it is in base64
			t.Errorf("%d bytes of user data are too many", len(script))
		}
		if err := os.WriteFile(name, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program(t, "shellcheck"), name).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if script := bootScript(t, options{}); script != "" {
		t.Errorf("without a relay to install there is a script:\n%s", script)
	}
}

// The parameters stand in the script between single quotes.
func TestParametersHaveNothingToQuote(t *testing.T) {
	d, _, _ := readTemplate(t, options{})
	variables, err := os.ReadFile("terraform/variables.tf")
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]map[string]bool{
		"RelayUrl":      {relayURL: true, relayURL + "&id=$HOME": true, "": true, "http://example.com/relay": false, "https://a/'; id; '": false, "https://a/\nid": false, "https://a/`id`": false, "https://a/ b": false},
		"RelaySha256":   {relaySum: true, "": true, strings.ToUpper(relaySum): false, relaySum + "'": false},
		"HostKeySecret": {secret: true, "": true, "ddbproxy-host-key": false, secret + "'": false, secret + "*": false},
		"HostKey":       {hostKey: true, "": true, hostKey + " root@bastion": false, hostKey[:40]: false, "ssh-rsa AAAA": false, hostKey + "\n" + hostKey: false},
		"DeveloperKeys": {hostKey: true, hostKey + " ann@laptop": true, "cert-authority " + hostKey: true, "sk-ssh-ed25519@openssh.com AAAA": true, "ecdsa-sha2-nistp256 AA==": true, "": true,
			hostKey + " ann's": false, hostKey + "\nssh-rsa AAAA": false, `command="id" ` + hostKey: false, "AAAA": false},
	} {
		p := d.Parameters[name]
		if p.Pattern == "" || !strings.Contains(string(variables), `regex("^`+p.Pattern+`$"`) {
			t.Errorf("the pattern of %s is %q, and not the module's", name, p.Pattern)
		}
		for value, want := range values {
			if got := p.accepts(value); got != want {
				t.Errorf("%s %q: %v, want %v", name, value, got, want)
			}
		}
	}
}

// relayFiles are the relay as a release has it: the program, and an archive with it.
func relayFiles(t *testing.T) map[string][]byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ddbproxy-relay")
	build := exec.Command("go", "build", "-o", name, "../../cmd/ddbproxy-relay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	archive := tar.NewWriter(z)
	if err := archive.WriteHeader(&tar.Header{Name: "ddbproxy-relay_1.0.0_linux_arm64/ddbproxy-relay", Mode: 0o755, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"/ddbproxy-relay": data, "/relay.tar.gz": packed.Bytes(), "/relay.rpm": data}
}

// serve gives the URL of a web server with these files, and its certificate.
func serve(t *testing.T, files map[string][]byte) (site, authority string) {
	t.Helper()
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(web.Close)
	return web.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
}

// The script is run on a copy of this machine, with its sshd and useradd, and then
// a developer logs in.
func TestBootMakesABastionThatStartsTheRelayOnly(t *testing.T) {
	files := relayFiles(t)
	site, authority := serve(t, files)
	for _, tt := range []struct {
		name, file string
		link       bool
		wrong      bool // the SHA-256 is another file's
	}{
		{"a program", "/ddbproxy-relay", false, false},
		{"an archive", "/relay.tar.gz", true, false},
		{"a package, by a signed URL", "/relay.rpm?X-Amz-Expires=600&id=$HOME", false, false},
		{"another file", "/ddbproxy-relay", false, true},
		{"no file", "/none", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.write(t, "root/ca.pem", authority, 0o644)
			path, _, _ := strings.Cut(tt.file, "?")
			sum := sha256.Sum256(files[path])
			if tt.wrong {
				sum = sha256.Sum256(nil)
			}
			o := options{relay: site + tt.file}
			want := []string{"--region", region}
			if tt.link {
				o.link = "dynamodb"
				want = append(want, "--vpce", link)
			}
			script := strings.Replace(bootScript(t, o), relaySum, hex.EncodeToString(sum[:]), 1)
			out, err := m.run(t, strings.Replace(script, "--retry 5 --retry-all-errors", "", 1), "CURL_CA_BUNDLE=/root/ca.pem")

			// Whatever comes of the relay, the account is shut.
			printed := exec.Command("go", append([]string{"run", "../../cmd/ddbproxy", "bastion", "sshd-config", "--relay", "/usr/bin/ddbproxy-relay"}, want...)...)
			block, failed := printed.Output()
			if failed != nil {
				t.Fatal(failed)
			}
			if got := m.read("etc/ssh/sshd_config.d/00-ddbproxy.conf"); got != string(block) {
				t.Errorf("sshd's settings are\n%s\nnot what ddbproxy prints\n%s", got, block)
			}
			if got := m.read("root/systemctl"); got != "reload sshd\n" {
				t.Errorf("systemctl was asked for %q", got)
			}
			if tt.wrong || files[path] == nil {
				if err == nil || m.read("usr/bin/ddbproxy-relay") != "" {
					t.Errorf("the relay is installed: %v, %s", err, out)
				}
				return
			}
			if err != nil || !strings.Contains(out, "ddbproxy: ddbproxy-relay ") || !strings.HasSuffix(out, " is installed\n") {
				t.Fatalf("the script: %v\n%s", err, out)
			}
			if got := m.read("root/rpm"); (got == "--upgrade --replacepkgs\n") != strings.Contains(path, ".rpm") {
				t.Errorf("rpm was asked for %q", got)
			}
			m.logIn(t)
		})
	}
}
