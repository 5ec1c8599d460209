package tunnel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys checks one server's key against its known_hosts files (sshd(8),
// SSH_KNOWN_HOSTS FILE FORMAT).
type hostKeys struct {
	host    *host
	db      *knownhosts.HostKeyDB
	ask     asker
	revoked revokedKeys
	seen    bool   // a key was shown and accepted
	refusal *Error // why the key was refused

	lookOnly bool                // nothing is asked about a key, or remembered
	accepted func(detail string) // told of a key that was accepted; nil: nobody
}

func newHostKeys(h *host, ask asker) (*hostKeys, error) {
	var files []string
	for _, name := range append(append([]string{}, h.UserKnownHosts...), h.GlobalKnownHosts...) {
		if _, err := os.Stat(name); err == nil {
			files = append(files, name)
		}
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, &Error{Kind: KindConfig, Host: h.String(), Err: err, Hint: "fix that line of known_hosts"}
	}
	revoked, err := readRevoked(h)
	if err != nil {
		return nil, &Error{Kind: KindConfig, Host: h.String(), Err: err, Hint: "fix it, or set RevokedHostKeys none for this Host"}
	}
	return &hostKeys{host: h, db: db, ask: ask, revoked: revoked}, nil
}

// lookupName is the server's name in known_hosts, with its port. OpenSSH looks
// an alias up without the port, but it may have one as known_hosts writes it.
func (k *hostKeys) lookupName() string {
	if alias := k.host.HostKeyAlias; alias != "" {
		if _, _, err := net.SplitHostPort(alias); err == nil && alias[0] == '[' {
			return alias
		}
		return net.JoinHostPort(alias, "22")
	}
	return k.host.addr()
}

// algorithms are those to ask the server for. Those of the keys in known_hosts
// come first: that avoids a false "unknown key". Certificates are asked for
// where an authority is known for the host, and only there: elsewhere they
// could not be checked, and servers that have one have a plain key too.
func (k *hostKeys) algorithms() []string {
	allowed := k.host.Algorithms.HostKeys
	if allowed == nil {
		allowed = ssh.SupportedAlgorithms().HostKeys
	}
	authority := false
	for _, key := range k.db.HostKeys(k.lookupName()) {
		authority = authority || key.Cert
	}
	known := k.db.HostKeyAlgorithms(k.lookupName())
	rank := func(name string) int {
		switch {
		case strings.HasSuffix(name, certificateSuffix):
			return 0
		case slices.Contains(known, name):
			return 1
		}
		return 2
	}
	allowed = slices.DeleteFunc(slices.Clone(allowed), func(name string) bool {
		return strings.HasSuffix(name, certificateSuffix) && !authority
	})
	slices.SortStableFunc(allowed, func(a, b string) int { return rank(a) - rank(b) })
	return allowed
}

// check is the ssh.HostKeyCallback.
func (k *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	if k.revoked.has(key) {
		return k.refuse(fmt.Errorf("the server's host key %s is revoked by %s", describe(key), k.revoked.file), "do not connect; ask the owner of the host")
	}
	err := k.db.HostKeyCallback()(k.lookupName(), remote, key)
	var revoked *xknownhosts.RevokedError
	var mismatch *xknownhosts.KeyError
	switch {
	case err == nil:
	case errors.As(err, &revoked):
		return k.refuse(fmt.Errorf("the server's host key is marked as revoked at %s:%d", revoked.Revoked.Filename, revoked.Revoked.Line),
			"do not connect; ask the owner of the host")
	case errors.As(err, &mismatch) && len(mismatch.Want) > 0:
		return k.changed(remote, key, mismatch.Want[0])
	case errors.As(err, &mismatch):
		if err := k.unknown(key); err != nil {
			return err
		}
	default:
		return k.refuse(errors.New(strings.TrimPrefix(err.Error(), "ssh: ")), "see ssh -v "+k.host.Alias)
	}
	if err := k.checkAddress(remote, key); err != nil {
		return err
	}
	if !k.seen && k.accepted != nil { // it is shown again when keys are exchanged anew
		k.accepted(describe(key))
	}
	k.seen = true
	return nil
}

// changed words that the server shows another key than known_hosts has.
func (k *hostKeys) changed(remote net.Addr, key ssh.PublicKey, want xknownhosts.KnownKey) error {
	server, fleet := "the server", "its name is a fleet's"
	if k.host.Fleet {
		server, fleet = "the server at "+remote.String(), "its name has several addresses because it is a fleet's"
	}
	return k.refuse(fmt.Errorf("HOST KEY CHANGED: %s shows %s, but %s:%d has %s; someone may be between you and the host, or it was rebuilt",
		server, describe(key), want.Filename, want.Line, describe(want.Key)),
		fmt.Sprintf("ask its owner; if it was rebuilt: ssh-keygen -f '%s' -R '%s'; if %s: add this key to that file too, or trust the fleet's authority by a @cert-authority line",
			want.Filename, xknownhosts.Normalize(k.lookupName()), fleet))
}

// checkAddress is CheckHostIP: a key that known_hosts has for the server's
// address must not differ, or its name was led elsewhere.
func (k *hostKeys) checkAddress(remote net.Addr, key ssh.PublicKey) error {
	direct := k.host.ProxyJump == "" && k.host.ProxyCommand == "" && k.host.HostKeyAlias == ""
	if !k.host.CheckHostIP || !direct || isCertificate(key) {
		return nil
	}
	var mismatch *xknownhosts.KeyError
	if err := k.db.HostKeyCallback()(remote.String(), remote, key); errors.As(err, &mismatch) && len(mismatch.Want) > 0 {
		want := mismatch.Want[0]
		return k.refuse(fmt.Errorf("HOST KEY OF ITS ADDRESS DIFFERS: the server shows %s, but %s:%d has %s for %s",
			describe(key), want.Filename, want.Line, describe(want.Key), remote), "ask its owner; CheckHostIP no leaves addresses out")
	}
	return nil
}

func (k *hostKeys) refuse(err error, hint string) error {
	k.refusal = &Error{Kind: KindHostKey, Host: k.host.String(), Err: err, Hint: hint}
	return k.refusal
}

// unknown decides about a server that no known_hosts file names, as
// StrictHostKeyChecking says.
func (k *hostKeys) unknown(key ssh.PublicKey) error {
	where := "known_hosts"
	if len(k.host.UserKnownHosts) > 0 {
		where = k.host.UserKnownHosts[0]
	}
	unknown := fmt.Errorf("its host key %s is not in %s", describe(key), where)
	switch k.host.StrictHostKey {
	case "no", "accept-new":
		return k.remember(key)
	case "yes":
		return k.refuse(unknown, fmt.Sprintf("StrictHostKeyChecking is yes: add the key to %s after checking it with the host's owner", where))
	}
	if k.ask == nil || k.lookOnly {
		return k.refuse(unknown, fmt.Sprintf("check it with the host's owner and start ddbproxy connect once on a terminal (without --background), or add it to %s", where))
	}
	question := fmt.Sprintf("The host %s shows a key that is not known yet:\n  %s\nConnect, and remember it in %s (yes/no/[fingerprint])? ",
		k.host, describe(key), where)
	for {
		answer, err := k.ask(question, false)
		switch answer = strings.TrimSpace(answer); {
		case err != nil:
			return k.refuse(unknown, "answer yes to go on: "+err.Error())
		case strings.EqualFold(answer, "yes") || answer == ssh.FingerprintSHA256(key):
			return k.remember(key)
		case strings.EqualFold(answer, "no"):
			return k.refuse(unknown, "it was not accepted, so nothing was sent")
		}
		question = "Please type yes, no or the fingerprint: "
	}
}

// remember appends the key to the user's first known_hosts file.
func (k *hostKeys) remember(key ssh.PublicKey) error {
	if len(k.host.UserKnownHosts) == 0 || k.lookOnly {
		return nil
	}
	file := k.host.UserKnownHosts[0]
	name := xknownhosts.Normalize(k.lookupName())
	// sshd(8): each of these has a meaning of its own in that file.
	if strings.ContainsAny(name, " \t\r\n*?!,#|@") {
		return k.refuse(fmt.Errorf("its host key cannot be remembered under the name %q", name), "give it a HostKeyAlias of letters and digits")
	}
	if k.host.HashKnownHosts {
		name = xknownhosts.HashHostname(name)
	}
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = appendLine(file, xknownhosts.Line([]string{name}, key))
	}
	if err != nil {
		return k.refuse(fmt.Errorf("remember its host key: %w", err), "make "+file+" writable")
	}
	return nil
}

// appendLine adds a line to a file that may lack the newline at its end.
func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}
