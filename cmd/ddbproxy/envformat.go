package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// envFormat writes settings of the environment for somebody to take over.
type envFormat func(set []variable, unset []string) (string, error)

// formatNames are those that help and errors name; formatNamed knows a few more.
var formatNames = []string{"sh", "fish", "powershell", "cmd", "dotenv", "json"}

// formatNamed is nil for a name that there is not.
func formatNamed(name string) envFormat {
	switch strings.ToLower(name) {
	case "sh", "bash", "zsh", "dash", "ksh":
		// fish's eval takes the lines for one: with ends they are an error there.
		return lines("export %s=%s;\n", shellQuote, "unset %s;\n")
	case "fish":
		// What a universal variable says is the user's lasting choice.
		return lines("set -gx %s %s\n", fishQuote, "set -eg %s; or true\n")
	case "powershell", "pwsh":
		return lines("$env:%s = %s\n", powershellQuote, "$env:%s = $null\n")
	case "cmd":
		return cmdLines
	case "dotenv":
		return dotenvLines
	case "json":
		return jsonObject
	}
	return nil
}

// defaultFormat is the same for all of a kind of machine: a script that says
// nothing would break where its reader's shell is another than its own. Git
// Bash and its like set SHELL on Windows too.
func defaultFormat() string {
	if runtime.GOOS == "windows" && os.Getenv("SHELL") == "" {
		return "powershell"
	}
	return "sh"
}

// lines writes a line for each variable.
func lines(set string, quote func(string) string, unset string) envFormat {
	return func(variables []variable, without []string) (string, error) {
		var b strings.Builder
		for _, name := range without {
			fmt.Fprintf(&b, unset, name)
		}
		for _, v := range variables {
			fmt.Fprintf(&b, set, v.name, quote(v.value))
		}
		return b.String(), nil
	}
}

// shellQuote makes one word of s for every shell of the Bourne family.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote makes one word of s for fish, whose quotes know two escapes.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// powershellQuote makes a string of s for PowerShell, to which typographic
// quotes are quotes too.
func powershellQuote(s string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(s) + "'"
}

// cmdLines refuses what cmd.exe takes in another way in a batch file than in
// for /f, or cannot quote.
func cmdLines(set []variable, unset []string) (string, error) {
	var b strings.Builder
	for _, v := range set {
		if strings.ContainsAny(v.value, "\"%!\r\n") {
			return "", unwritable(v, "cmd")
		}
		fmt.Fprintf(&b, "set \"%s=%s\"\r\n", v.name, v.value)
	}
	for _, name := range unset {
		fmt.Fprintf(&b, "set \"%s=\"\r\n", name)
	}
	return b.String(), nil
}

// plain needs no quotes in a .env file; docker's --env-file would keep them.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]*$`)

// dotenvLines leaves out what should not be set: an empty AWS_PROFILE is a
// profile without a name to most.
func dotenvLines(set []variable, unset []string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s must not be set.\n", strings.Join(unset, ", "))
	for _, v := range set {
		value := v.value
		if !plain.MatchString(value) {
			if strings.ContainsAny(value, "'\\\r\n") {
				return "", unwritable(v, "dotenv")
			}
			value = "'" + value + "'"
		}
		fmt.Fprintf(&b, "%s=%s\n", v.name, value)
	}
	return b.String(), nil
}

func jsonObject(set []variable, unset []string) (string, error) {
	object := map[string]any{}
	for _, v := range set {
		object[v.name] = v.value
	}
	for _, name := range unset {
		object[name] = nil
	}
	text, err := json.MarshalIndent(object, "", "  ")
	return string(text) + "\n", err
}

// unwritable does not show the value, which may be a secret.
func unwritable(v variable, format string) error {
	return &exitError{exitFailed, fmt.Errorf("%s has a character that cannot be written safely for %s", v.name, format), "take another --format"}
}
