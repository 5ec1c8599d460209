package relaybin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"
)

// TestHashIsOfTheProgramItself: the relay on the bastion checks itself by it.
func TestHashIsOfTheProgramItself(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		p := For("linux", arch)
		if p == nil {
			t.Logf("no relay for linux/%s in this build", arch)
			continue
		}
		r, err := gzip.NewReader(bytes.NewReader(p.Gzip()))
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != p.Hash {
			t.Errorf("linux/%s: the hash is %s, that of what gzip restores %s", arch, p.Hash, got)
		}
	}
}

func TestNoRelayForOtherSystems(t *testing.T) {
	if p := For("plan9", "mips"); p != nil {
		t.Errorf("relay for plan9/mips has hash %s", p.Hash)
	}
}
