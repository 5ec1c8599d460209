package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// unitMark is in every file that service install writes, which tells ours from
// others.
const unitMark = "Written by ddbproxy service install"

// systemdUnit is a unit of systemd's user manager that runs a command.
//
// A usage error and an unknown host key do not mend by themselves. Anything else
// is tried again, half a minute apart: servers may lock out who logs in too often.
func systemdUnit(name string, command []string) string {
	var words []string
	for _, w := range command {
		words = append(words, systemdWord(w))
	}
	return fmt.Sprintf(`# %s
[Unit]
Description=%s

[Service]
Type=exec
ExecStart=%s
Restart=on-failure
RestartSec=30
RestartPreventExitStatus=%d %d

[Install]
WantedBy=default.target
`, unitMark, "DynamoDB through "+name, strings.Join(words, " "), exitUsage, exitHostKey)
}

// systemdWord quotes one word of ExecStart (systemd.service(5), COMMAND LINES):
// variables and specifiers of systemd's are none of ours.
func systemdWord(w string) string {
	w = strings.NewReplacer("%", "%%", "$", "$$", `\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(w)
	if w == "" || strings.ContainsAny(w, " \t'\"\\;") {
		return `"` + w + `"`
	}
	return w
}

// launchdPlist is an agent of launchd's that runs a command and keeps what it
// says in a file.
func launchdPlist(label, log string, command []string) string {
	var b strings.Builder
	text := func(s string) string {
		var t strings.Builder
		_ = xml.EscapeText(&t, []byte(s)) // a Builder takes all
		return t.String()
	}
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- %s -->
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>%s</string>
	<key>ProgramArguments</key>
	<array>
`, unitMark, text(label))
	for _, w := range command {
		fmt.Fprintf(&b, "\t\t<string>%s</string>\n", text(w))
	}
	fmt.Fprintf(&b, `	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>ThrottleInterval</key>
	<integer>30</integer>
	<key>StandardOutPath</key>
	<string>%s</string>
	<key>StandardErrorPath</key>
	<string>%[1]s</string>
</dict>
</plist>
`, text(log))
	return b.String()
}
