package tunnel

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Program is the relay for one kind of machine.
type Program struct {
	Hash string        // hex SHA-256 of the program itself, uncompressed
	Gzip func() []byte // the program, compressed; called when it is to be uploaded
}

// What the two scripts below print for us to find, behind whatever a login
// shell's profile may print.
var (
	missingLine  = regexp.MustCompile(`ddbproxy-relay missing (\w+) (\w+)`)
	uploadedLine = regexp.MustCompile(`ddbproxy-relay uploaded (\S+)`)
	failedLine   = regexp.MustCompile(`ddbproxy-relay upload failed: ([^\n]*)`)
	// What shells say where PATH has no sh.
	noCommand = regexp.MustCompile(`(?i)not found|unknown command`)
	safeArg   = regexp.MustCompile(`^[A-Za-z0-9.,:=/_-]+$`)
)

// The scripts run under sh, which restricted shells want without its path, and
// others with it where their PATH has none.
const (
	shOnPath = "sh"
	binSh    = "/bin/sh"
)

// inShell has sh run a script. The login shell (fish, csh) sees one word in
// single quotes, so the script holds no quote, backslash-quote, newline or
// exclamation mark. It needs the usual tools, which an account's PATH may lack.
func inShell(sh, script string) string {
	return sh + " -c 'PATH=$PATH:/usr/bin:/bin; " + script + "'"
}

// cacheDirs are where an upload may live: the user's cache, or a runtime
// directory where the home cannot be used.
const cacheDirs = `"${XDG_CACHE_HOME:-$HOME/.cache}/ddbproxy" "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/ddbproxy"`

// startCommand runs the relay found on PATH unless onPath is false, else a
// cached upload named by the hash for that machine. A home may be shared by
// bastions of several architectures. A cached one is touched, so that its age
// is the time since it was used.
func startCommand(sh string, onPath bool, hashes map[string]string, args []string) (string, error) {
	for _, a := range args {
		if !safeArg.MatchString(a) {
			return "", fmt.Errorf("relay argument %q has characters that a shell might interpret", a)
		}
	}
	arguments := strings.Join(args, " ")
	var script strings.Builder
	if onPath {
		fmt.Fprintf(&script, "p=$(command -v ddbproxy-relay) && exec \"$p\" %s; ", arguments)
	}
	script.WriteString("case $(uname -m) in ")
	for _, m := range machines {
		if hash := hashes[m.goarch]; hash != "" {
			fmt.Fprintf(&script, "%s) h=%s ;; ", strings.Join(m.uname, "|"), hash)
		}
	}
	fmt.Fprintf(&script, "*) h=none ;; esac; for d in %s; do p=$d/relay-$h; [ -f \"$p\" ] && [ -x \"$p\" ] && [ -O \"$p\" ] && { touch -c \"$p\" 2>/dev/null; exec \"$p\" %s; }; done; ",
		cacheDirs, arguments)
	script.WriteString("echo ddbproxy-relay missing $(uname -s) $(uname -m); exit 127")
	return inShell(sh, script.String()), nil
}

// uploadCommand stores standard input as the program with that hash: in the
// first directory where size bytes can be written and a program run (noexec,
// read-only and full ones fail that), by a temporary name until the program itself
// has confirmed its hash. No sha256sum is needed there. Relays beside it that
// nobody has used for 30 days are removed; one that still runs is not hurt by that.
func uploadCommand(sh, hash string, size uint32) string {
	return inShell(sh, strings.Join([]string{
		"umask 077", "h=" + hash, "m=",
		"for d in " + cacheDirs,
		"do t=$d/.relay-$h." + rand.Text(), // a home may be shared, and $$ be the same on two machines
		fmt.Sprintf(`e=$({ mkdir -p "$d" && chmod 700 "$d" && head -c %d /dev/zero >"$t" && printf "#\041/bin/sh\nexit 0\n" >"$t" && chmod 700 "$t" && "$t"; } 2>&1) && break`, size),
		`rm -f "$t" 2>/dev/null`, `m="$m $e;"`, `d=`, `done`,
		`[ "$d" ] || { cat >/dev/null; echo ddbproxy-relay upload failed: no directory there can hold and run a program:${m%;}; exit 1; }`,
		`if e=$(gzip -dc 2>&1 >"$t") && e=$("$t" -check $h 2>&1) && e=$(mv -f "$t" "$d/relay-$h" 2>&1)`,
		`then find "$d" -maxdepth 1 -type f -name "*relay-*" -mtime +30 -exec rm -f {} + 2>/dev/null`, // a find without -maxdepth removes none
		`echo ddbproxy-relay uploaded "$d/relay-$h"`,
		`else rm -f "$t"; echo ddbproxy-relay upload failed: $e; exit 1`, `fi`,
	}, "; "))
}

// machines are the architectures a relay is built for, as uname -m has them.
var machines = []struct {
	goarch string
	uname  []string
}{
	{"amd64", []string{"x86_64", "amd64"}},
	{"arm64", []string{"aarch64", "arm64"}},
}

// goArch turns what uname prints into Go's names.
func goArch(sysname, machine string) (goos, goarch string) {
	for _, m := range machines {
		if slices.Contains(m.uname, machine) {
			machine = m.goarch
		}
	}
	return strings.ToLower(sysname), machine
}
