package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	authorityFor = 10 * 365 * 24 * time.Hour
	leafFor      = 24 * time.Hour
	// backdated is for clients whose clock is behind.
	backdated = time.Hour
)

// localCA is this user's certificate authority for https on this machine. It is
// good for localhost, loopback addresses and the names it is made for only (name
// constraints, RFC 5280, 4.2.1.10), so that who gets hold of its key can pretend
// to be nothing else. Other names have another authority.
type localCA struct {
	names []string // beyond loopback: DNS names and IP addresses
	cert  *x509.Certificate
	key   crypto.Signer
	file  string // the certificate's

	mu   sync.Mutex
	leaf *tls.Certificate
}

// useTLS has the session serve https too, also by names beyond loopback; theirs
// is the user's own file of authorities, if any.
func (s *session) useTLS(names []string, theirs string, log *slog.Logger) error {
	dir, err := os.UserConfigDir()
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--tls: no place for the certificate authority: %w", err), "set HOME"}
	}
	if s.ca, err = openLocalCA(filepath.Join(dir, "ddbproxy"), names); err != nil {
		return err
	}
	var alone bool
	if s.caBundle, alone, err = s.ca.bundle(theirs); err != nil {
		return err
	}
	if alone {
		log.Warn("the system has no file of authorities: clients that take AWS_CA_BUNDLE from ddbproxy env trust this session only; --ca-bundle adds a file")
	}
	s.url = "https" + strings.TrimPrefix(s.url, "http")
	return nil
}

// trustCommand is how a person puts an authority into the trust store.
func trustCommand(file string) string {
	switch runtime.GOOS {
	case "darwin":
		return "security add-trusted-cert -k ~/Library/Keychains/login.keychain-db " + shellQuote(file)
	case "windows":
		return `certutil -user -addstore Root "` + file + `"`
	}
	return "sudo cp " + shellQuote(file) + " /usr/local/share/ca-certificates/ddbproxy.crt && sudo update-ca-certificates"
}

// openLocalCA reads the authority for names (sorted) in dir, or makes it: a file
// for this user alone with its key and certificate, which decides where several
// sessions begin at the same time, and one with the certificate for clients.
func openLocalCA(dir string, names []string) (*localCA, error) {
	base := "local-ca"
	if len(names) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(names, " ")))
		base += "-" + hex.EncodeToString(sum[:4])
	}
	ca := &localCA{names: names, file: filepath.Join(dir, base+".pem")}
	keyFile := filepath.Join(dir, base+"-key.pem")
	if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) {
		if err := ca.create(keyFile); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(keyFile)
	switch {
	case err != nil:
		return nil, err
	case !private(info):
		return nil, &exitError{exitUsage, fmt.Errorf("the key of the local certificate authority, %s, is open to other users or not yours", keyFile), "remove it, and a new one is made"}
	}
	pair, err := tls.LoadX509KeyPair(keyFile, keyFile)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("the local certificate authority: %w", err), "remove " + keyFile + ", and a new one is made"}
	}
	ca.cert, ca.key = pair.Leaf, pair.PrivateKey.(crypto.Signer) // of every kind of key that tls loads
	if time.Now().Add(leafFor).After(ca.cert.NotAfter) {
		return nil, &exitError{exitUsage, fmt.Errorf("the local certificate authority has expired on %s", ca.cert.NotAfter.Format(time.DateOnly)), "remove " + keyFile + ", and a new one is made"}
	}
	if old, err := readOrNone(ca.file); err != nil || bytes.Equal(old, ca.pem()) {
		return ca, err
	}
	return ca, replaceFile(ca.file, ca.pem())
}

// create makes an authority, unless another session does at the same time.
func (ca *localCA) create(keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // it tells authorities apart in a trust store
	template := newTemplate("ddbproxy local CA "+host, authorityFor)
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.PermittedDNSDomainsCritical = true
	// A kind of name that is not mentioned would be free.
	template.PermittedEmailAddresses, template.PermittedURIDomains = []string{"localhost"}, []string{"localhost"}
	var ips []net.IP
	template.PermittedDNSDomains, ips = ca.subjects()
	for _, ip := range ips {
		template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
	}
	ca.key = key
	if ca.cert, err = sign(template, template, key, key); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return makeFile(keyFile, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), ca.pem()...))
}

// subjects are what the authority is good for. Addresses are as short as can be.
func (ca *localCA) subjects() (domains []string, ips []net.IP) {
	domains, ips = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}
	for _, name := range ca.names {
		if addr, err := netip.ParseAddr(name); err == nil {
			ips = append(ips, addr.Unmap().AsSlice())
		} else {
			domains = append(domains, name)
		}
	}
	return domains, ips
}

func (ca *localCA) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// config is for listeners. Certificates are short-lived and their keys stay in
// memory; a session that runs for longer makes another in time.
func (ca *localCA) config() *tls.Config {
	return &tls.Config{NextProtos: []string{"http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		ca.mu.Lock()
		defer ca.mu.Unlock()
		if ca.leaf != nil && time.Now().Add(leafFor/2).Before(ca.leaf.Leaf.NotAfter) {
			return ca.leaf, nil
		}
		leaf, err := ca.issue()
		if err == nil {
			ca.leaf = leaf
		}
		return leaf, err
	}}
}

func (ca *localCA) issue() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate("localhost", leafFor)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames, template.IPAddresses = ca.subjects()
	leaf, err := sign(template, ca.cert, key, ca.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func newTemplate(name string, validFor time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{ // CreateCertificate chooses a serial number
		Subject:   pkix.Name{CommonName: name[:min(len(name), 64)]}, // RFC 5280, A.1
		NotBefore: now.Add(-backdated),
		NotAfter:  now.Add(validFor),
	}
}

func sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// systemBundles are where systems keep their authorities as one file.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Alpine
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/etc/ssl/cert.pem",                                 // macOS, BSD
}

// bundle writes a file for AWS_CA_BUNDLE and returns its name. That variable
// replaces the authorities that a client trusts, so the file has those too: of
// theirs, a file of the user's, else the system's; alone tells that there are none.
func (ca *localCA) bundle(theirs string) (name string, alone bool, err error) {
	var others []byte
	if theirs != "" {
		if others, err = os.ReadFile(theirs); err != nil {
			return "", false, err
		}
	}
	for _, system := range systemBundles {
		if len(others) == 0 {
			others, _ = os.ReadFile(system) // the next, or none
		}
	}
	// A shell that has taken over our settings names our own file.
	all := others
	if !bytes.Contains(others, ca.pem()) {
		all = append(ca.pem(), others...)
	}
	name = filepath.Join(filepath.Dir(ca.file), strings.Replace(strings.TrimSuffix(filepath.Base(ca.file), ".pem"), "local-ca", "ca-bundle", 1))
	// A session that adds other authorities has another file.
	if old, _ := readOrNone(name + ".pem"); len(old) > 0 && !bytes.Equal(old, all) {
		sum := sha256.Sum256(all)
		name += "-" + hex.EncodeToString(sum[:4])
	}
	name += ".pem"
	return name, len(others) == 0, replaceFile(name, all)
}
