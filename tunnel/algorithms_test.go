package tunnel

import (
	"reflect"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestInsecureAlgorithmsAreForThoseWhoNameThem(t *testing.T) {
	t.Parallel()
	o := options{"kexalgorithms": {"curve25519-sha256,diffie-hellman-group14-sha1"}, "ciphers": {"aes128-ctr,aes128-cbc"}, "macs": {"hmac-sha2-256"}}
	// An old ssh that has group14-sha1 by default, where somebody added a
	// cipher and took a key exchange out.
	o.dropDefaults(options{"kexalgorithms": {"curve25519-sha256,diffie-hellman-group14-sha1,ecdh-sha2-nistp256"}, "ciphers": {"aes128-ctr"}, "macs": {"hmac-sha2-256"}})
	got, err := o.algorithms()
	want := algorithms{Ciphers: []string{"aes128-ctr", "aes128-cbc"}, KeyExchanges: []string{"curve25519-sha256"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("algorithms = %+v, %v, want %+v", got, err, want)
	}
	if c := (algorithms{}).config(); slices.Contains(c.KeyExchanges, ssh.InsecureKeyExchangeDH14SHA1) || len(c.MACs) == 0 {
		t.Errorf("by default = %+v, want the secure ones", c)
	}
}

func TestAssemble(t *testing.T) {
	t.Parallel()
	byDefault := []string{"a-1", "a-2", "b"}
	for spec, want := range map[string]string{"": "", "b,c": "b,c", "+c": "a-1,a-2,b,c", "-a*": "b", "^b,c": "b,c,a-1,a-2"} {
		if got := assemble(spec, byDefault); got != want {
			t.Errorf("assemble(%q) = %q, want %q", spec, got, want)
		}
	}
}
