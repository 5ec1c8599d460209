// Package version tells which ddbproxy this is.
package version

import "runtime/debug"

// release is set by the linker in release builds (-ldflags "-X …").
var release string

// String gives the release, else the module's version or revision, else
// "devel". It has no spaces: it is a word of the hello line.
func String() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
