package tunnel

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// krlOf has ssh-keygen make a list from its specification, which may name files
// of keys by what they hold.
func krlOf(t *testing.T, spec string, files map[string]string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen makes the lists")
	}
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	args = append([]string{"-q", "-k", "-f", "krl"}, args...)
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", append(args, write(t, filepath.Join(dir, "spec"), spec))...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	list, err := os.ReadFile(filepath.Join(dir, "krl"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestKRLNamesWhatIsRevoked(t *testing.T) {
	t.Parallel()
	bad, good, authority, other := newKey(t), newKey(t), newKey(t), newKey(t)
	of := func(by ssh.Signer, key ssh.PublicKey, serial uint64, id string) ssh.PublicKey {
		return certify(t, by, key, func(c *ssh.Certificate) { c.CertType, c.Serial, c.KeyId = ssh.HostCert, serial, id })
	}
	fingerprint := ssh.FingerprintSHA256(bad.PublicKey())
	var many []string // that ssh-keygen puts into a bitmap
	for n := 1000; n < 1100; n += 2 {
		many = append(many, "serial: "+strconv.Itoa(n))
	}
	serials := "serial: 7\nserial: 20-30\nserial: 18446744073709551615\nid: stolen\n" + strings.Join(many, "\n") + "\n"
	type fact struct {
		key  ssh.PublicKey
		want bool
	}
	plain := []fact{
		{bad.PublicKey(), true}, {good.PublicKey(), false},
		{of(authority, bad.PublicKey(), 1, "x"), true}, {of(bad, good.PublicKey(), 1, "x"), true}, {of(authority, good.PublicKey(), 1, "x"), false},
	}
	var byNumber []fact
	for serial, want := range map[uint64]bool{0: false, 6: false, 7: true, 8: false, 19: false, 20: true, 30: true, 31: false,
		1000: true, 1001: false, 1098: true, 1099: false, 1100: false, math.MaxUint64: true, math.MaxUint64 - 1: false} {
		byNumber = append(byNumber, fact{of(authority, good.PublicKey(), serial, "x"), want})
	}
	byNumber = append(byNumber, fact{of(authority, good.PublicKey(), 0, "stolen"), true}, fact{good.PublicKey(), false})
	for _, tc := range []struct {
		name, spec string
		args       []string
		facts      []fact
	}{
		{"a key", "key: " + line(bad.PublicKey()), nil, plain},
		{"its SHA-1", "sha1: " + line(bad.PublicKey()), nil, plain},
		{"its SHA-256", "sha256: " + line(bad.PublicKey()), nil, plain},
		{"its fingerprint", "hash: " + fingerprint + "\n", nil, plain},
		{"certificates of an authority", serials, []string{"-s", "ca.pub"}, slices.Concat(byNumber, []fact{{of(other, good.PublicKey(), 7, "stolen"), false}})},
		{"certificates of all", serials, []string{"-s", "none"}, slices.Concat(byNumber, []fact{{of(other, good.PublicKey(), 7, "x"), true}})},
		{"nothing", "", nil, []fact{{bad.PublicKey(), false}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, err := parseKRL(krlOf(t, tc.spec, map[string]string{"ca.pub": line(authority.PublicKey())}, tc.args...))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range tc.facts {
				if got := list.has(f.key); got != f.want {
					c, _ := f.key.(*ssh.Certificate)
					t.Errorf("revoked = %v, want %v for %s %+v", got, f.want, describe(f.key), c)
				}
			}
		})
	}
}

// A list that is not wholly understood is no list.
func TestKRLThatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	header := []byte(krlMagic + "\x00\x00\x00\x01" + strings.Repeat("\x00", 3*8+2*4))
	section := func(kind byte, content string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content))), content...)
	}
	about := func(kind byte, content string) []byte {
		return section(krlCertificates, strings.Repeat("\x00", 8)+string(section(kind, content)))
	}
	for _, tc := range []struct {
		name string
		data []byte
		want string
	}{
		{"another format", bytes.Replace(header, []byte{1}, []byte{2}, 1), "of format 2"},
		{"signed", append(header, section(krlSignature, "key")...), "whose signature cannot be checked here"},
		{"an extension", append(header, section(255, "")...), "a section of unknown kind 255"},
		{"another part", append(header, about(0x39, "")...), "of unknown kind 0x39"},
		{"a key too short", append(header, section(krlKeys, "\x00\x00\x00\x02a")...), "cut short or damaged"},
		{"a range and more", append(header, about(krlRange, strings.Repeat("\x00", 17))...), "cut short or damaged"},
		{"half a number", append(header, about(krlSerials, "\x00\x00")...), "cut short or damaged"},
		{"half a header", header[:20], "cut short or damaged"},
		{"flags", bytes.Replace(header, []byte(strings.Repeat("\x00", 3*8)), []byte(strings.Repeat("\x00", 3*8-1)+"\x01"), 1), "unknown flags 0x1"},
		{"a hash of another length", append(header, section(krlSHA256, "\x00\x00\x00\x02ab")...), "cut short or damaged"},
		{"a SHA-1 of another length", append(header, section(krlSHA1, "\x00\x00\x00\x02ab")...), "cut short or damaged"},
		{"a key that is none", append(header, section(krlKeys, "\x00\x00\x00\x02ab")...), "cut short or damaged"},
		{"a range from its end", append(header, about(krlRange, strings.Repeat("\x00", 7)+"\x02"+strings.Repeat("\x00", 7)+"\x01")...), "cut short or damaged"},
		{"a bitmap beyond the last number", append(header, about(krlBitmap, strings.Repeat("\xff", 8)+"\x00\x00\x00\x01\x03")...), "cut short or damaged"},
		{"an authority that is no key", append(header, section(krlCertificates, "\x00\x00\x00\x02ab\x00\x00\x00\x00")...), "cut short or damaged"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parseKRL(tc.data); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := parseKRL(header); err != nil {
		t.Errorf("an empty list: %v", err)
	}
}

// No file is more than an error, and a list cut anywhere but between sections
// is one.
func FuzzParseKRL(f *testing.F) {
	f.Add([]byte(krlMagic+"\x00\x00\x00\x01"+strings.Repeat("\x00", 3*8+2*4)+"\x02\x00\x00\x00\x05\x00\x00\x00\x01a"), 3)
	key := newKey(f).PublicKey()
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		list, err := parseKRL(data)
		if err != nil {
			return
		}
		list.has(key)
		if cut = min(max(cut, 0), len(data)); cut > 0 {
			if shorter, err := parseKRL(data[:len(data)-cut]); err == nil && shorter.size() > list.size() {
				t.Errorf("%q has more when %d bytes are cut off", data, cut)
			}
		}
	})
}

func (k *krl) size() int { return len(k.keys) + len(k.sha1s) + len(k.sha256s) + len(k.certificates) }
