package tinydb

import (
	"strconv"
	"strings"
)

// Limits of a Number (Developer Guide, "Supported data types"): 38 significant
// digits, magnitude from 1E-130 to 9.99…E+125, written here for the 0.d form.
const (
	maxDigits   = 38
	maxExponent = 126
	minExponent = -129
)

// number is a decimal in one normal form, so equal numbers are equal structs:
// ±0.digits × 10^exp, digits without zeros at either end, zero is the zero value.
type number struct {
	neg    bool
	digits string
	exp    int
}

// parseNumber reads the text of an N attribute.
func parseNumber(s string) (number, error) {
	bad := invalid("The parameter cannot be converted to a numeric value: %s", s)
	if s == "" {
		return number{}, invalid("The parameter cannot be converted to a numeric value")
	}
	mantissa, rest, hasExp := s, "", false
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, rest, hasExp = s[:i], s[i+1:], true
	}
	var n number
	if mantissa != "" && (mantissa[0] == '-' || mantissa[0] == '+') {
		n.neg, mantissa = mantissa[0] == '-', mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return number{}, bad
	}
	shift := 0
	if hasExp {
		var err error
		if shift, err = strconv.Atoi(rest); err != nil {
			// Five digits of exponent are far outside the range already; the rest is noise.
			unsigned := strings.TrimLeft(rest, "+-")
			if unsigned == "" || len(rest)-len(unsigned) > 1 || strings.Trim(unsigned, "0123456789") != "" {
				return number{}, bad
			}
			shift = 1 << 30
			if rest[0] == '-' {
				shift = -shift
			}
		}
	}
	significant := strings.TrimLeft(digits, "0")
	n.exp = len(whole) - (len(digits) - len(significant)) + max(min(shift, 1<<30), -1<<30)
	n.digits = strings.TrimRight(significant, "0")
	switch {
	case n.digits == "":
		return number{}, nil
	case len(n.digits) > maxDigits:
		return number{}, invalid("Attempting to store more than 38 significant digits in a Number")
	case n.exp > maxExponent:
		return number{}, invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case n.exp < minExponent:
		return number{}, invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return n, nil
}

// String writes n without an exponent, as the service gives numbers back.
func (n number) String() string {
	if n.digits == "" {
		return "0"
	}
	sign := ""
	if n.neg {
		sign = "-"
	}
	switch {
	case n.exp <= 0:
		return sign + "0." + strings.Repeat("0", -n.exp) + n.digits
	case n.exp >= len(n.digits):
		return sign + n.digits + strings.Repeat("0", n.exp-len(n.digits))
	}
	return sign + n.digits[:n.exp] + "." + n.digits[n.exp:]
}

// order gives bytes that sort as the numbers do: a sign, the exponent, the digits.
// For negative numbers the larger magnitude is the smaller number, so exponent and
// digits are inverted, and a closing 0xff puts -1 after -1.2.
func (n number) order() string {
	if n.digits == "" {
		return "\x01"
	}
	magnitude := append([]byte{byte(n.exp - minExponent)}, n.digits...)
	if !n.neg {
		return "\x02" + string(magnitude)
	}
	for i := range magnitude {
		magnitude[i] = ^magnitude[i]
	}
	return "\x00" + string(magnitude) + "\xff"
}

// size is the documented estimate in bytes: two digits a byte, and one more.
func (n number) size() int {
	size := (len(n.digits)+1)/2 + 1
	if n.neg {
		size++
	}
	return size
}
