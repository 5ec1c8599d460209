package tunnel

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// certificate is a user certificate from a file.
type certificate struct {
	*ssh.Certificate
	name string // of the file
}

// readCertificates reads the files that CertificateFile names or, where it
// names none, those beside the key files, as OpenSSH does.
func (o *offer) readCertificates(h *host) []certificate {
	names, optional := h.CertificateFiles, false
	if len(names) == 0 {
		optional = true
		for _, name := range h.IdentityFiles {
			names = append(names, name+"-cert.pub")
		}
	}
	var read []certificate
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			if !optional || !errors.Is(err, os.ErrNotExist) {
				o.skipped = append(o.skipped, err.Error())
			}
			continue
		}
		public, _ := parsePublic(data)
		if c, ok := public.(*ssh.Certificate); ok && c.CertType == ssh.UserCert {
			read = append(read, certificate{c, name})
		} else {
			o.skipped = append(o.skipped, name+" is not a user certificate")
		}
	}
	return read
}

// addCertificate joins a certificate with its private key: the agent's, else
// one of the files.
func (o *offer) addCertificate(h *host, c certificate, files []*fileKey, fromAgent ssh.Signer) {
	key := fromAgent
	for _, f := range files {
		if key == nil && f.usable() && sameKey(f.public, c.Key) {
			key = f
		}
	}
	if key == nil {
		o.skipped = append(o.skipped, "the private key of "+c.name+" is neither in the agent nor in a file that can be opened")
		return
	}
	signer, err := ssh.NewCertSigner(c.Certificate, key)
	if err != nil {
		o.skipped = append(o.skipped, c.name+": "+strings.TrimPrefix(err.Error(), "ssh: "))
		return
	}
	o.add(h, signer, c.name)
}

func isCertificate(key ssh.PublicKey) bool {
	return strings.HasSuffix(key.Type(), certificateSuffix)
}

// describe names a key as ssh-keygen -l does: a certificate by the key that it
// is for. One that is out of date is still offered, since the server's clock
// decides, but an error has to tell.
func describe(key ssh.PublicKey) string {
	c, ok := key.(*ssh.Certificate)
	if !ok && isCertificate(key) { // the agent's are not parsed
		parsed, _ := ssh.ParsePublicKey(key.Marshal())
		c, ok = parsed.(*ssh.Certificate)
	}
	if !ok {
		return strings.TrimPrefix(key.Type(), "ssh-") + " " + ssh.FingerprintSHA256(key)
	}
	text := "certificate of " + describe(c.Key)
	now := uint64(time.Now().Unix())
	switch {
	case c.ValidBefore != ssh.CertTimeInfinity && now >= c.ValidBefore:
		text += " (expired " + time.Unix(int64(c.ValidBefore), 0).UTC().Format(time.DateTime) + " UTC)"
	case now < c.ValidAfter:
		text += " (valid from " + time.Unix(int64(c.ValidAfter), 0).UTC().Format(time.DateTime) + " UTC)"
	}
	return text
}
