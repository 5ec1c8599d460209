package tunnel

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// algorithms are what one host may use, nil for the default: all that
// x/crypto/ssh counts as secure, in its order (which is made for speed).
type algorithms struct {
	Ciphers, KeyExchanges, MACs, HostKeys, PublicKeys []string
}

const certificateSuffix = "-cert-v01@openssh.com"

// algorithmOptions says which names there are for each option, and which of
// them are insecure: those are for those who name them.
func algorithmOptions() map[string]struct{ secure, insecure []string } {
	good, bad := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	var certificates []string
	for _, name := range good.PublicKeyAuths {
		certificates = append(certificates, strings.TrimSuffix(name, "@openssh.com")+certificateSuffix)
	}
	return map[string]struct{ secure, insecure []string }{
		"Ciphers":                  {good.Ciphers, bad.Ciphers},
		"KexAlgorithms":            {good.KeyExchanges, bad.KeyExchanges},
		"MACs":                     {good.MACs, bad.MACs},
		"HostKeyAlgorithms":        {good.HostKeys, bad.HostKeys},
		"PubkeyAcceptedAlgorithms": {slices.Concat(good.PublicKeyAuths, certificates), append(bad.PublicKeyAuths, ssh.CertAlgoRSAv01)},
	}
}

// dropDefaults takes out what is as in def, the configuration of nobody, and
// from lists of algorithms the insecure ones that are there by default.
func (o options) dropDefaults(def options) {
	for option, known := range algorithmOptions() {
		key := strings.ToLower(option)
		if o.one(key) == def.one(key) {
			delete(o, key)
			continue
		}
		byDefault := strings.Split(def.one(key), ",")
		names := slices.DeleteFunc(strings.Split(o.one(key), ","), func(name string) bool {
			return slices.Contains(known.insecure, name) && slices.Contains(byDefault, name)
		})
		o[key] = []string{strings.Join(names, ",")}
	}
	for _, key := range []string{"casignaturealgorithms", "requiredrsasize"} {
		if o.one(key) == def.one(key) {
			delete(o, key)
		}
	}
}

// assemble reads a list as configuration files have it: with + at its front it
// is added to the default, with - taken out, with ^ put first (ssh_config(5),
// Ciphers).
func assemble(spec string, byDefault []string) string {
	if spec == "" {
		return ""
	}
	names := strings.Split(strings.TrimLeft(spec, "+-^"), ",")
	matches := func(name string) bool {
		return slices.ContainsFunc(names, func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok })
	}
	rest := slices.DeleteFunc(slices.Clone(byDefault), matches)
	switch spec[0] {
	case '-':
		names = rest
	case '+':
		names = append(slices.Clone(byDefault), names...)
	case '^':
		names = append(names, rest...)
	}
	return strings.Join(names, ",")
}

// algorithms intersects what is configured with what there is.
func (o options) algorithms() (algorithms, error) {
	var a algorithms
	known := algorithmOptions()
	for option, list := range map[string]*[]string{
		"Ciphers": &a.Ciphers, "KexAlgorithms": &a.KeyExchanges, "MACs": &a.MACs,
		"HostKeyAlgorithms": &a.HostKeys, "PubkeyAcceptedAlgorithms": &a.PublicKeys,
	} {
		configured := o.one(strings.ToLower(option))
		if configured == "" {
			continue
		}
		for _, name := range strings.Split(configured, ",") {
			if name == "curve25519-sha256@libssh.org" { // its name before RFC 8731
				name = ssh.KeyExchangeCurve25519
			}
			if (slices.Contains(known[option].secure, name) || slices.Contains(known[option].insecure, name)) && !slices.Contains(*list, name) {
				*list = append(*list, name)
			}
		}
		if len(*list) == 0 {
			return a, fmt.Errorf("%s allows none that ddbproxy has: configured %s; there are %s",
				option, configured, strings.Join(known[option].secure, ","))
		}
	}
	return a, nil
}

// config fills in what the handshake negotiates, host keys apart.
func (a algorithms) config() ssh.Config {
	good := ssh.SupportedAlgorithms()
	c := ssh.Config{KeyExchanges: a.KeyExchanges, Ciphers: a.Ciphers, MACs: a.MACs}
	if c.KeyExchanges == nil {
		c.KeyExchanges = good.KeyExchanges
	}
	if c.Ciphers == nil {
		c.Ciphers = good.Ciphers
	}
	if c.MACs == nil {
		c.MACs = good.MACs
	}
	return c
}

// limitedSigner signs with some of a key's algorithms.
type limitedSigner struct {
	ssh.AlgorithmSigner
	algorithms []string
}

func (s limitedSigner) Algorithms() []string { return s.algorithms }

// limit keeps a key to what PubkeyAcceptedAlgorithms allows; false if that is
// nothing. By default RSA signs with SHA-2 only (RFC 8332): servers have
// refused SHA-1 since OpenSSH 8.8.
func (a algorithms) limit(s ssh.Signer) (ssh.Signer, bool) {
	names := []string{s.PublicKey().Type()}
	switch names[0] {
	case ssh.KeyAlgoRSA:
		names = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	case ssh.CertAlgoRSAv01:
		names = []string{ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSAv01}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		if a.PublicKeys == nil {
			return name == ssh.KeyAlgoRSA || name == ssh.CertAlgoRSAv01
		}
		return !slices.Contains(a.PublicKeys, name)
	})
	if len(names) == 0 {
		return nil, false
	}
	signer, ok := s.(ssh.AlgorithmSigner)
	if !ok {
		return s, true
	}
	for i, name := range names {
		names[i] = signatureOf(name)
	}
	return limitedSigner{signer, names}, true
}

// signatureOf is the algorithm that signs for a name that may be a
// certificate's.
func signatureOf(name string) string {
	plain, isCertificate := strings.CutSuffix(name, certificateSuffix)
	if isCertificate && strings.HasPrefix(plain, "sk-") {
		return plain + "@openssh.com"
	}
	return plain
}

// notedSigner tells when it did not sign.
type notedSigner struct {
	limitedSigner
	failed func()
}

func (n notedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return n.note(n.limitedSigner.Sign(rand, data))
}

func (n notedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	return n.note(n.limitedSigner.SignWithAlgorithm(rand, data, algorithm))
}

func (n notedSigner) note(signature *ssh.Signature, err error) (*ssh.Signature, error) {
	if err != nil {
		n.failed()
	}
	return signature, err
}
