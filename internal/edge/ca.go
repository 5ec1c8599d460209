package edge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// A certificate is good from an hour before it is made, so that a client whose clock
// is behind still takes it, and for a week: demos are forgotten, tests are short.
const (
	backdated = time.Hour
	validFor  = 7 * 24 * time.Hour
)

// CA is a throw-away certificate authority. Its key exists only in memory.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes an authority with a fresh P-256 key.
func NewCA() (*CA, error) {
	template, err := newTemplate("ddbproxy throw-away CA")
	if err != nil {
		return nil, fmt.Errorf("edge: make CA: %w", err)
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("edge: make CA: %w", err)
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("edge: make CA: %w", err)
	}
	return &CA{cert, key}, nil
}

// Issue makes a server certificate for the given DNS names; there must be one.
func (ca *CA) Issue(names ...string) (tls.Certificate, error) {
	if len(names) == 0 {
		return tls.Certificate{}, errors.New("edge: issue certificate: no names")
	}
	template, err := newTemplate(names[0])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("edge: issue certificate: %w", err)
	}
	template.DNSNames = names
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("edge: issue certificate: %w", err)
	}
	leaf, err := sign(template, ca.cert, key, ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("edge: issue certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// PEM gives the authority's certificate for --ca-bundle or AWS_CA_BUNDLE.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// Pool gives a pool that trusts this authority only.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

func newTemplate(commonName string) (*x509.Certificate, error) {
	// 120 random bits: unique, positive and below the 20 octets of RFC 5280, 4.1.2.2.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	// A common name longer than 64 characters is invalid (RFC 5280, A.1), and nobody
	// reads it where there are subject alternative names.
	if len(commonName) > 64 {
		commonName = commonName[:64]
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    now.Add(-backdated),
		NotAfter:     now.Add(validFor),
	}, nil
}

// sign makes the certificate; crypto/x509 adds the key identifiers that Python's
// strict verification wants.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
