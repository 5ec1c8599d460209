package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLocalCAIsMadeOnceAndKeptPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ddbproxy")
	first, err := openLocalCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := openLocalCA(dir)
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
	if _, err := openLocalCA(dir); err == nil {
		t.Error("a key that others can read was used")
	}
}

func TestLocalCAIsGoodForLoopbackOnly(t *testing.T) {
	ca, err := openLocalCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	leaf, err := ca.config().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := time.Until(leaf.Leaf.NotAfter); left > 25*time.Hour {
		t.Errorf("the certificate is good for %v, want a day", left)
	}
	// What a thief of its key would make.
	for _, tt := range []struct {
		dns []string
		ip  []net.IP
	}{{dns: []string{"dynamodb.eu-west-1.amazonaws.com"}}, {ip: []net.IP{net.IPv4(192, 0, 2, 1)}}, {ip: []net.IP{net.IPv4(127, 0, 0, 2)}}} {
		template := newTemplate("x", time.Hour)
		template.DNSNames, template.IPAddresses = tt.dns, tt.ip
		forged, err := sign(template, ca.cert, leaf.PrivateKey.(*ecdsa.PrivateKey), ca.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := forged.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
			t.Errorf("a certificate for %v %v was good", tt.dns, tt.ip)
		}
	}
}

func TestCABundleHasTheOthersToo(t *testing.T) {
	dir := t.TempDir()
	ca, err := openLocalCA(dir)
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
	if _, _, err := ca.bundle(filepath.Join(dir, "absent.pem")); err == nil {
		t.Error("a file that is not there was left out in silence")
	}
}
