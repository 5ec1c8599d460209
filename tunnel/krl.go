package tunnel

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/ssh"
)

// krlMagic begins a key revocation list as ssh-keygen -k writes it; OpenSSH's
// PROTOCOL.krl has the format.
const krlMagic = "SSHKRL\n\x00"

// The kinds of a KRL's sections and, below, of what its section about
// certificates holds.
const (
	krlCertificates = 1
	krlKeys         = 2
	krlSHA1         = 3
	krlSignature    = 4
	krlSHA256       = 5

	krlSerials = 0x20
	krlRange   = 0x21
	krlBitmap  = 0x22
	krlKeyIDs  = 0x23
)

// krl is a key revocation list.
type krl struct {
	keys, sha1s, sha256s map[string]bool // plain public keys, or their hashes
	certificates         []revokedCertificates
}

// revokedCertificates names certificates of one authority.
type revokedCertificates struct {
	authority string // its public key, "" for every authority
	serials   [][2]uint64
	bitmaps   []serialBitmap
	ids       map[string]bool
}

// serialBitmap has serial numbers as bits, the first of which is offset.
type serialBitmap struct {
	offset uint64
	bits   *big.Int
}

// parseKRL reads the whole list or fails: what it does not understand could be
// about the key that matters.
func parseKRL(data []byte) (*krl, error) {
	r := krlReader{data: data}
	magic, format := r.take(len(krlMagic)), r.uint32()
	r.take(2 * 8) // its version and date are for people
	flags := r.uint64()
	r.string()
	r.string()
	switch {
	case r.err != nil:
		return nil, r.err
	case string(magic) != krlMagic || format != 1:
		return nil, fmt.Errorf("a key revocation list of format %d", format)
	case flags != 0:
		return nil, fmt.Errorf("a key revocation list with unknown flags %#x", flags)
	}
	k := &krl{keys: make(map[string]bool), sha1s: make(map[string]bool), sha256s: make(map[string]bool)}
	for r.more() {
		kind := r.byte()
		if r.err == nil && kind == krlSignature {
			return nil, errors.New("a signed key revocation list, whose signature cannot be checked here")
		}
		section := krlReader{data: r.string()}
		switch kind {
		case krlCertificates:
			c, err := parseRevokedCertificates(&section)
			if err != nil {
				return nil, err
			}
			k.certificates = append(k.certificates, c)
		case krlKeys:
			section.strings(k.keys, isKey)
		case krlSHA1:
			section.strings(k.sha1s, ofLength(sha1.Size))
		case krlSHA256:
			section.strings(k.sha256s, ofLength(sha256.Size))
		default:
			return nil, fmt.Errorf("a key revocation list with a section of unknown kind %d", kind)
		}
		if section.err != nil {
			return nil, section.err
		}
	}
	return k, r.err
}

func parseRevokedCertificates(r *krlReader) (revokedCertificates, error) {
	c := revokedCertificates{authority: string(r.string()), ids: make(map[string]bool)}
	r.string()
	if c.authority != "" && !isKey([]byte(c.authority)) {
		return c, errKRL
	}
	for r.more() {
		kind := r.byte()
		part := krlReader{data: r.string()}
		switch kind {
		case krlSerials:
			for part.more() {
				n := part.uint64()
				c.serials = append(c.serials, [2]uint64{n, n})
			}
		case krlRange:
			low, high := part.uint64(), part.uint64()
			if low > high {
				return c, errKRL
			}
			c.serials = append(c.serials, [2]uint64{low, high})
		case krlBitmap:
			b := serialBitmap{part.uint64(), new(big.Int).SetBytes(part.string())}
			if n := uint64(b.bits.BitLen()); n > 0 && b.offset+(n-1) < b.offset {
				return c, errKRL
			}
			c.bitmaps = append(c.bitmaps, b)
		case krlKeyIDs:
			part.strings(c.ids, nil)
		default:
			return c, fmt.Errorf("a key revocation list with a part about certificates of unknown kind %#x", kind)
		}
		if part.err == nil && part.more() {
			part.err = errKRL
		}
		if part.err != nil {
			return c, part.err
		}
	}
	return c, r.err
}

// has reports whether the list names the key, a certificate, the key that it is
// for, or its authority's.
func (k *krl) has(key ssh.PublicKey) bool {
	c, ok := key.(*ssh.Certificate)
	if !ok {
		return k.hasPlain(key)
	}
	return k.hasPlain(c.Key) || k.hasPlain(c.SignatureKey) ||
		slices.ContainsFunc(k.certificates, func(r revokedCertificates) bool { return r.has(c) })
}

func (k *krl) hasPlain(key ssh.PublicKey) bool {
	blob := key.Marshal()
	one, two := sha1.Sum(blob), sha256.Sum256(blob)
	return k.keys[string(blob)] || k.sha1s[string(one[:])] || k.sha256s[string(two[:])]
}

func (r revokedCertificates) has(c *ssh.Certificate) bool {
	if r.authority != "" && r.authority != string(c.SignatureKey.Marshal()) {
		return false
	}
	if r.ids[c.KeyId] {
		return true
	}
	// An authority that counts nothing gives 0 to all: as in OpenSSH that is
	// nobody's number.
	if c.Serial == 0 {
		return false
	}
	return slices.ContainsFunc(r.serials, func(s [2]uint64) bool { return s[0] <= c.Serial && c.Serial <= s[1] }) ||
		slices.ContainsFunc(r.bitmaps, func(b serialBitmap) bool {
			n := c.Serial - b.offset
			return c.Serial >= b.offset && n < uint64(b.bits.BitLen()) && b.bits.Bit(int(n)) == 1
		})
}

var errKRL = errors.New("a key revocation list that is cut short or damaged")

// krlReader reads SSH's wire format (RFC 4251, section 5). After an error all
// that it reads is zero.
type krlReader struct {
	data []byte
	err  error
}

func (r *krlReader) more() bool { return r.err == nil && len(r.data) > 0 }

func (r *krlReader) take(n int) []byte {
	if r.err != nil || n > len(r.data) {
		r.err = errKRL
		return make([]byte, min(n, 8))
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken
}

func (r *krlReader) byte() byte     { return r.take(1)[0] }
func (r *krlReader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *krlReader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *krlReader) string() []byte {
	n := r.uint32()
	if r.err != nil || uint64(n) > uint64(len(r.data)) {
		r.err = errKRL
		return nil
	}
	return r.take(int(n))
}

// strings adds all that is left, strings, to a set. They have to pass check,
// unless that is nil.
func (r *krlReader) strings(set map[string]bool, check func([]byte) bool) {
	for r.more() {
		s := r.string()
		if r.err == nil && check != nil && !check(s) {
			r.err = errKRL
		}
		if r.err == nil {
			set[string(s)] = true
		}
	}
}

func ofLength(n int) func([]byte) bool { return func(s []byte) bool { return len(s) == n } }

// isKey reports whether s has the form of a public key, whose kind may be one
// that cannot be used here.
func isKey(s []byte) bool {
	r := krlReader{data: s}
	kind := r.string()
	return r.err == nil && len(kind) > 0 && len(r.data) > 0
}
