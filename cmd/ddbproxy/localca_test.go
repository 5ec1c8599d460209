package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestLocalCAIsMadeOnceAndKeptPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ddbproxy")
	first, err := openLocalCA(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := openLocalCA(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.cert.Raw, again.cert.Raw) {
		t.Error("the second session made another authority")
	}
	key := filepath.Join(dir, "local-ca-key.pem")
	info, err := os.Stat(key)
	if err != nil || !isWindows && info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v (%v), want 0600", info.Mode(), err)
	}
	if isWindows {
		return
	}
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := openLocalCA(dir, nil); err == nil {
		t.Error("a key that others can read was used")
	}
}

func TestLocalCAIsGoodForItsNamesOnly(t *testing.T) {
	thisMachine := []string{"localhost", "127.0.0.1", "::1"}
	for _, tt := range []struct {
		names, good, bad []string
	}{
		{nil, thisMachine, []string{"dynamodb.eu-west-1.amazonaws.com", "192.0.2.1", "127.0.0.2"}},
		{[]string{"192.0.2.1", "host.docker.internal"}, append(thisMachine, "192.0.2.1", "host.docker.internal"), []string{"dynamodb.eu-west-1.amazonaws.com", "192.0.2.2", "docker.internal"}},
	} {
		ca, err := openLocalCA(t.TempDir(), tt.names)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		leaf, err := ca.config().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tt.good {
			if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if left := time.Until(leaf.Leaf.NotAfter); left > 25*time.Hour {
			t.Errorf("the certificate is good for %v, want a day", left)
		}
		for _, name := range tt.bad { // what a thief of its key would make
			template := newTemplate("x", time.Hour)
			if ip := net.ParseIP(name); ip != nil {
				template.IPAddresses = []net.IP{ip}
			} else {
				template.DNSNames = []string{name}
			}
			forged, err := sign(template, ca.cert, leaf.PrivateKey.(*ecdsa.PrivateKey), ca.key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := forged.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
				t.Errorf("an authority for %v: a certificate for %s was good", tt.names, name)
			}
		}
	}
}

func TestLocalCAOfOtherNamesIsAnother(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, names := range [][]string{nil, {"a.internal"}, {"a.internal", "b.internal"}, {"a.internal"}} {
		ca, err := openLocalCA(dir, names)
		if err != nil {
			t.Fatal(err)
		}
		bundle, _, err := ca.bundle("")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, ca.file, bundle)
	}
	if files[2] != files[6] || files[3] != files[7] {
		t.Errorf("the same names have %q and %q", files[2:4], files[6:])
	}
	slices.Sort(files)
	if n := len(slices.Compact(files)); n != 6 {
		t.Errorf("%d files for 3 sets of names, want 2 for each", n)
	}
}

func TestCABundleHasTheOthersToo(t *testing.T) {
	dir := t.TempDir()
	ca, err := openLocalCA(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, "theirs.pem")
	if err := os.WriteFile(theirs, []byte("theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := append(ca.pem(), "theirs\n"...)
	for _, base := range []string{theirs, filepath.Join(dir, "ca-bundle.pem")} { // the second time it is our own
		name, _, err := ca.bundle(base)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("from %s: %q, %v, want %q", base, got, err, want)
		}
	}
	// Another session's authorities are in another file.
	other := filepath.Join(dir, "other.pem")
	if err := os.WriteFile(other, []byte("other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(dir, "ca-bundle.pem"))
	if err != nil {
		t.Fatal(err)
	}
	name, _, err := ca.bundle(other)
	if err != nil {
		t.Fatal(err)
	}
	if still, err := os.ReadFile(filepath.Join(dir, "ca-bundle.pem")); err != nil || !bytes.Equal(still, first) {
		t.Errorf("the first session's file is %q, %v", still, err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, append(ca.pem(), "other\n"...)) {
		t.Errorf("the second's is %q, %v", got, err)
	}
	if _, _, err := ca.bundle(filepath.Join(dir, "absent.pem")); err == nil {
		t.Error("a file that is not there was left out in silence")
	}
}

func TestLocalCAsMadeAtTheSameTimeAreOne(t *testing.T) {
	dir := t.TempDir()
	made := make([]*localCA, 8)
	var making sync.WaitGroup
	for i := range made {
		making.Go(func() {
			var err error
			if made[i], err = openLocalCA(dir, nil); err != nil {
				t.Error(err)
			}
		})
	}
	making.Wait()
	file, err := os.ReadFile(filepath.Join(dir, "local-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for i, ca := range made {
		if ca != nil && !bytes.Equal(ca.pem(), file) {
			t.Errorf("session %d has an authority that clients do not trust", i)
		}
	}
}

// Whoever has its key can vouch for nobody but this machine's servers: no mail,
// no client, no program.
func TestLocalCAVouchesForServersOnly(t *testing.T) {
	ca, err := openLocalCA(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, tt := range []struct {
		name   string
		usage  x509.ExtKeyUsage
		change func(*x509.Certificate)
	}{
		{"mail", x509.ExtKeyUsageEmailProtection, func(c *x509.Certificate) { c.EmailAddresses = []string{"boss@corp.example"} }},
		{"mail as a server", x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.EmailAddresses = []string{"boss@corp.example"} }},
		{"client", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }},
		{"program", x509.ExtKeyUsageCodeSigning, func(*x509.Certificate) {}},
		{"SPIFFE", x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "corp.example", Path: "/x"}} }},
	} {
		template := newTemplate("x", time.Hour)
		template.ExtKeyUsage = []x509.ExtKeyUsage{tt.usage}
		tt.change(template)
		forged, err := sign(template, ca.cert, key, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := forged.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{tt.usage}}); err == nil {
			t.Errorf("%s: a certificate was good", tt.name)
		}
	}
}
