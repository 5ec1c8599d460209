package relaybin

import "testing"

// TestHashIsOfTheProgramItself: the relay on the bastion checks itself by it.
func TestHashIsOfTheProgramItself(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		p := For("linux", arch)
		if p == nil {
			t.Logf("no relay for linux/%s in this build", arch)
			continue
		}
		if got := unpacked(p.Gzip); got == nil || got.Hash != p.Hash {
			t.Errorf("linux/%s: hash %s, want %+v", arch, p.Hash, got)
		}
	}
}

func TestNoRelayForOtherSystems(t *testing.T) {
	if p := For("plan9", "mips"); p != nil {
		t.Errorf("relay for plan9/mips has hash %s", p.Hash)
	}
}
