package tunnel

import (
	"fmt"
	"strings"
	"testing"
)

func TestSplitDestination(t *testing.T) {
	for _, tc := range []struct{ in, target, port, err string }{
		{"bastion", "bastion", "", ""},
		{"dev@bastion", "dev@bastion", "", ""},
		{"dev@bastion:2222", "dev@bastion", "2222", ""},
		{"ssh://dev@bastion:2222/", "dev@bastion", "2222", ""},
		{"first.last@corp@bastion", "first.last@corp@bastion", "", ""},
		{"[::1]:2222", "::1", "2222", ""},
		{"dev@::1", "dev@::1", "", ""},
		{"bastion:", "", "", "a colon without a port"},
		{"bastion:ssh", "", "", `"ssh" is not a port`},
		{"bastion:70000", "", "", `"70000" is not a port`},
		{"", "", "", "no host name"},
		{"dev@", "", "", "no host name"},
		{"@bastion", "", "", "no user name before the @"},
		{"-v", "", "", "not a host name"},
		{"a b", "", "", "not a host name"},
		{"$(id)", "", "", "not a host name"},
		{"https://bastion", "", "", `"//bastion" is not a port`},
	} {
		target, port, err := splitDestination(tc.in)
		if target != tc.target && tc.err == "" || port != tc.port && tc.err == "" || fmt.Sprint(err) != tc.err && tc.err != "" || tc.err == "" && err != nil {
			t.Errorf("splitDestination(%q) = %q, %q, %v; want %q, %q, %s", tc.in, target, port, err, tc.target, tc.port, tc.err)
		}
	}
}

func FuzzSplitDestination(f *testing.F) {
	f.Add("dev@bastion:22")
	f.Add("[::1]:22")
	f.Fuzz(func(t *testing.T, s string) {
		target, _, err := splitDestination(s)
		if err == nil && (strings.HasPrefix(target, "-") || strings.ContainsAny(target, " '\"`$;&|<>\n")) {
			t.Errorf("splitDestination(%q) let %q through", s, target)
		}
	})
}
