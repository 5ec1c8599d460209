package tinydb

import (
	"math/big"
	"strings"
	"testing"
)

func TestNumbersComeBackNormalised(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.000e9": "0", "007": "7", "1.50": "1.5", "+5": "5", "1e3": "1000", "12E-3": "0.012", ".5": "0.5", "5.": "5", "-1200": "-1200",
		"9.9999999999999999999999999999999999999E+125": "99999999999999999999999999999999999999" + strings.Repeat("0", 88),
		"1E-130": "0." + strings.Repeat("0", 129) + "1",
	} {
		n, err := parseNumber(in)
		if err != nil || n.String() != want {
			t.Errorf("parseNumber(%q) = %s, %v, want %s", in, n, err, want)
		}
	}
}

func TestNumbersOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "cannot be converted", "-": "cannot be converted", ".": "cannot be converted", "1e": "cannot be converted", "1e+-3": "cannot be converted", "0x10": "cannot be converted", "1 ": "cannot be converted", "NaN": "cannot be converted",
		"1e126": "overflow", "-1e126": "overflow", "1e99999999999999999999": "overflow", "1e-131": "underflow", "1e-99999999999999999999": "underflow",
	} {
		_, err := parseNumber(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseNumber(%q) = %v, want an error with %q", in, err, want)
		}
	}
}

// FuzzNumberOrder holds the normal form against math/big: whatever two texts are
// accepted, their value survives String and their key bytes sort as the values do.
func FuzzNumberOrder(f *testing.F) {
	for _, s := range []string{"0", "-1", "1.2", "-1.2", "1e125", "-1E-130", "100", "99.9", "000.1e+5"} {
		f.Add(s, "1")
		f.Add("-1", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, errX := parseNumber(a)
		y, errY := parseNumber(b)
		if errX != nil || errY != nil {
			return
		}
		p, q := rational(t, a), rational(t, b)
		if s := rational(t, x.String()); s.Cmp(p) != 0 {
			t.Errorf("%q became %s", a, x)
		}
		if got, want := strings.Compare(x.order(), y.order()), p.Cmp(q); got != want {
			t.Errorf("order of %q and %q = %d, want %d", a, b, got, want)
		}
		if (x == y) != (p.Cmp(q) == 0) {
			t.Errorf("%q == %q is %v", a, b, x == y)
		}
	})
}

func rational(t *testing.T, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		// A zero with an exponent beyond big's reach is still zero.
		if n, err := parseNumber(s); err == nil && n == (number{}) {
			return new(big.Rat)
		}
		t.Fatalf("%q was accepted, math/big does not", s)
	}
	return r
}
