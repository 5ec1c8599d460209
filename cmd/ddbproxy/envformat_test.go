package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// nasty are values that quoting goes wrong with.
var nasty = []string{
	"", "plain", "http://localhost:8000", "two words", " edges ", `it's`, `''`, `"double"`, `back\slash`, `end\`, `\'`, "`id`", "$(id)", "$HOME", "${x}",
	"%PATH%", "!x!", "a;b", "a&b|c<d>e^f", "#no comment", "a # b", "*?[a]~", "~", "-n", "=", "new\nline", "tab\t", "\\n", "é, 日本", "‘curly’‚‛", "(x)", "{a,b}",
}

func TestEnvFormatsQuote(t *testing.T) {
	t.Parallel()
	set, unset := []variable{{"A", `it's`}, {"B", `\ "x" $y ’`}}, []string{"C"}
	for _, tt := range []struct{ format, want string }{
		{"sh", "unset C;\nexport A='it'\\''s';\nexport B='\\ \"x\" $y ’';\n"},
		{"bash", "unset C;\nexport A='it'\\''s';\nexport B='\\ \"x\" $y ’';\n"},
		{"fish", "set -eg C; or true\nset -gx A 'it\\'s'\nset -gx B '\\\\ \"x\" $y ’'\n"},
		{"PowerShell", "$env:C = $null\n$env:A = 'it''s'\n$env:B = '\\ \"x\" $y ’’'\n"},
		{"json", "{\n  \"A\": \"it's\",\n  \"B\": \"\\\\ \\\"x\\\" $y ’\",\n  \"C\": null\n}\n"},
	} {
		got, err := formatNamed(tt.format)(set, unset)
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.format, got, err, tt.want)
		}
	}
	set = []variable{{"A", "http://localhost:8000"}, {"B", "a&b|c <d>^"}}
	for _, tt := range []struct{ format, want string }{
		{"cmd", "set \"A=http://localhost:8000\"\r\nset \"B=a&b|c <d>^\"\r\nset \"C=\"\r\n"},
		{"dotenv", "# C must not be set.\nA=http://localhost:8000\nB='a&b|c <d>^'\n"},
	} {
		got, err := formatNamed(tt.format)(set, unset)
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.format, got, err, tt.want)
		}
	}
}

func TestEnvFormatsRefuseWhatTheyCannotWrite(t *testing.T) {
	t.Parallel()
	for format, values := range map[string][]string{
		"cmd":    {`"`, "%PATH%", "!x!", "a\nb", "a\rb"},
		"dotenv": {"it's", `end\`, "a\nb"},
	} {
		for _, value := range values {
			if got, err := formatNamed(format)([]variable{{"A", value}}, nil); err == nil || strings.Contains(err.Error(), value) {
				t.Errorf("%s of %q: %q, %v, want an error without the value", format, value, got, err)
			}
		}
	}
}

// Each shell of this machine takes over every value as it is, and forgets what
// is to be unset.
func TestShellsTakeOverTheirFormat(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"sh", "bash", "zsh", "dash", "fish", "pwsh"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(shell)
			if err != nil {
				if os.Getenv("DDBPROXY_TEST_REQUIRE") != "" && shell != "pwsh" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			// Other values are in the environment from before.
			set, unset, env := []variable{}, []string{"GONE", "NEVER_THERE"}, append(os.Environ(), "GONE=1")
			for i, value := range nasty {
				name := "V" + strings.Repeat("X", i)
				set, env = append(set, variable{name, value}), append(env, name+"=old")
			}
			text, err := formatNamed(shell)(set, unset)
			if err != nil {
				t.Fatal(err)
			}
			// The way that help shows, and not the text as a script: newlines
			// could go missing on it.
			take, run := `eval "$TEXT"`, ""
			switch shell {
			case "fish":
				take = `echo -n $TEXT | source`
			case "pwsh":
				take, run = `$env:TEXT | Out-String | Invoke-Expression`, "& "
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(path, "-c", take+"\n"+run+shellQuote(self)+" printenv")
			cmd.Env = append(env, "TEXT="+text)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var now []string
			if err := json.Unmarshal(out, &now); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := map[string]string{}
			for _, line := range now {
				name, value, _ := strings.Cut(line, "=")
				got[name] = value
			}
			for _, v := range set {
				if got[v.name] != v.value {
					t.Errorf("%s is %q, want %q", v.name, got[v.name], v.value)
				}
			}
			if value, ok := got["GONE"]; ok {
				t.Errorf("GONE is %q, want it unset", value)
			}
		})
	}
}

func TestTakeEnvFitsTheShell(t *testing.T) {
	for shell, want := range map[string]string{
		"/bin/bash":      `eval "$(ddbproxy env)"`,
		"/usr/bin/fish":  "ddbproxy env --format fish | source",
		"/opt/bin/pwsh":  "ddbproxy env --format powershell | Out-String | Invoke-Expression",
		"/bin/something": `eval "$(ddbproxy env)"`,
	} {
		t.Setenv("SHELL", shell)
		if got := takeEnv("ddbproxy env"); got != want {
			t.Errorf("%s: %q, want %q", shell, got, want)
		}
	}
	t.Setenv("SHELL", "pwsh")
	if got, want := takeEnv("'/my dir/ddbproxy' env"), "& '/my dir/ddbproxy' env --format powershell | Out-String | Invoke-Expression"; got != want {
		t.Errorf("a quoted path: %q, want %q", got, want)
	}
}
