package tunnel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ template, want string }{
		{"ssh -F x", `exec ssh -F x 'dev@box' 'sh -c '\''echo 100%%'\'''`},
		{"ssh -o 'ProxyCommand nc %h %p'", `exec ssh -o 'ProxyCommand nc %h %p' 'dev@box' 'sh -c '\''echo 100%%'\'''`},
		{"docker exec -i %n sh -c %c", `exec docker exec -i 'dev@box' sh -c 'sh -c '\''echo 100%%'\'''`},
		{`A=1 B="x y" ssh`, `exec env A=1 B="x y" ssh 'dev@box' 'sh -c '\''echo 100%%'\'''`},
		{"nc -U /run/relay-%n.sock # 100%%", `exec nc -U /run/relay-'dev@box'.sock # 100%`},
	} {
		if got := commandLine(tt.template, "dev@box", "sh -c 'echo 100%%'", false); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.template, got, tt.want)
		}
	}
	if got, want := commandLine("ssh", "box", "true", true), `trap "" INT QUIT; exec ssh 'box' 'true'`; got != want {
		t.Errorf("at a terminal: %s, want %s", got, want)
	}
}

// No destination can become more than one word of the command.
func FuzzCommandLineQuotes(f *testing.F) {
	f.Add("dev@box")
	f.Add("a'; echo b'$(id)`id`\n\\")
	f.Fuzz(func(t *testing.T, destination string) {
		if strings.ContainsRune(destination, 0) {
			t.Skip("no argument can hold it")
		}
		out, err := exec.Command("sh", "-c", commandLine("printf '%%s|%%s' %n %c", destination, "sh -c 'x y'", false)).Output()
		if got, want := string(out), destination+"|sh -c 'x y'"; err != nil || got != want {
			t.Errorf("%q: %v, got %q, want %q", destination, err, got, want)
		}
	})
}

// says is a command that complains and fails.
func says(text string, status int) string {
	return fmt.Sprintf(`sh -c "echo %s >&2; exit %d"`, text, status)
}

func TestSSHCommandErrors(t *testing.T) {
	for _, tt := range []struct {
		name, command string
		kind          Kind
		passing       bool
		want          []string
	}{
		{"not there", "no-such-ssh -F x", KindConfig, false, []string{"local: box: its ssh command ended (exit status 127): ", "no-such-ssh", "not found; try it by hand: no-such-ssh -F x 'box' 'true'"}},
		{"unreachable", says("ssh: connect to host box port 22: No route to host", 255), KindUnreachable, true, []string{"ssh: box: its ssh command ended (exit status 255): ssh: connect to host box port 22: No route to host"}},
		{"login refused", says("dev@box: Permission denied [publickey].", 255), KindAuth, false, []string{"Permission denied [publickey]."}},
		{"unknown host key", says("Host key verification failed.", 255), KindHostKey, false, []string{"Host key verification failed."}},
		{"no relay", `sh -c "echo ddbproxy-relay missing Linux riscv64; exit 127"`, KindRelay, false, []string{"carries none for linux/riscv64"}},
		{"another program", `sh -c "echo hello"`, KindRelay, false, []string{`relay: box: no relay answered; it printed "hello"`}},
		{"silence", "true", KindRelay, true, []string{"relay: box: no relay answered: EOF; try it by hand: true 'box' 'true'"}},
		{"a cluster that is away", `sh -c "echo Unable to connect to the server >&2; exit 1"`, KindRelay, true, []string{`no relay answered; it printed "Unable to connect to the server"; try it by hand: `}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Client{Destination: "box", SSHCommand: tt.command}
			err := c.Start(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind || e.Passing != tt.passing {
				t.Fatalf("Start = %#v (%v), want kind %d, passing %v", err, err, tt.kind, tt.passing)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestSSHCommandMaySetVariables(t *testing.T) {
	c := &Client{Destination: "box", SSHCommand: `SAID="nobody home" sh -c 'echo "$SAID"; exit 1'`}
	if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), `it printed "nobody home"`) {
		t.Errorf("Start = %v, want the variable's value", err)
	}
}

func TestSSHCommandTakesNoOptionForADestination(t *testing.T) {
	c := &Client{Destination: "-oProxyCommand=id", SSHCommand: "echo"}
	err := c.Start(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindConfig {
		t.Errorf("Start = %v, want a refusal", err)
	}
}

// Two ssh would ask at the terminal at the same time. So each goes without it
// first, in a session of its own, and has it alone if that was not enough.
func TestSSHCommandsShareTheTerminalInTurn(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("a program finds out its session there")
	}
	sc := newScene(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(sc.dir, "ssh")
	write(t, script, fmt.Sprintf(`cd %s
[ $(cut -d" " -f6 /proc/$$/stat) = $$ ] && { echo none >>runs; echo Permission denied >&2; exit 255; }
mkdir asking || echo overlap >>runs
sleep 0.3
rmdir asking
echo terminal >>runs
DDBPROXY_TEST_RELAY=%s exec %s
`, sc.dir, sc.echo, self))
	p := new(Pool)
	for _, name := range []string{"a", "b"} {
		p.Bastions = append(p.Bastions, &Client{Destination: name, SSHCommand: "sh " + script, Version: "test", Prompter: new(oneAtATime)})
	}
	startPool(t, p)
	if err := ping(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	runs, err := os.ReadFile(filepath.Join(sc.dir, "runs"))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(runs); !strings.HasPrefix(text, "none\n") || !strings.Contains(text, "terminal") || strings.Contains(text, "overlap") {
		t.Errorf("the commands ran as %q, want each without a terminal first and one at a time at it", text)
	}
}

func TestSSHCommandCarriesAndIsRunAgain(t *testing.T) {
	sc := newScene(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pids := filepath.Join(sc.dir, "pids")
	c := &Client{Destination: "box", Version: "test", SSHCommand: "sh -c " +
		quote("echo $$ >>"+pids+"; DDBPROXY_TEST_RELAY="+sc.echo+" exec "+self) + " %n"}
	start(t, c)
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	down := nextChange(c)
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Kill(); err != nil {
		t.Fatal(err)
	}
	<-down
	if err := ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(pids); strings.Count(string(text), "\n") != 2 {
		t.Errorf("the command ran as %q, want it twice", text)
	}
	if st := c.Status(); st.Carrier != CarrierRelay || st.Server != "box" {
		t.Errorf("status = %+v, want box by its relay", st)
	}
}
