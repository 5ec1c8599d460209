package relayd

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// run gives the exit code and what the program printed.
func run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	p := Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}
	code = p.Run(context.Background(), args)
	return code, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // beginnings of lines
	}{
		{"version", []string{"-version"}, 0, "ddbproxy-relay ", ""},
		{"help teaches the forced command", []string{"-h"}, 0, "", `  restrict,command="ddbproxy-relay -region eu-west-1"`},
		{"unknown flag", []string{"-shell"}, 2, "", "flag provided but not defined: -shell"},
		{"an argument", []string{"-region", "eu-west-1", "sh"}, 2, "", `ddbproxy-relay: unexpected argument "sh"; see -h`},
		{"a region that is none", []string{"-region", ""}, 2, "", "ddbproxy-relay: -region is given and empty; leave it out to limit nothing"},
		{"prefixes that are none", []string{"-prefixes", ","}, 2, "", "ddbproxy-relay: -prefixes is given and empty"},
		{"a policy that is none", []string{"-policy="}, 2, "", "ddbproxy-relay: -policy is given and empty"},
		{"no region at all", []string{"-region", "x"}, 2, "", `ddbproxy-relay: -region: "x" is not a DynamoDB endpoint`},
		{"a region in capitals", []string{"-region", "eu-west-3,EU-WEST-1"}, 2, "", `ddbproxy-relay: -region: "EU-WEST-1" is not a DynamoDB endpoint`},
		{"no interface endpoint", []string{"-vpce", "vpce-0abc,vpce-*"}, 2, "", `ddbproxy-relay: -vpce: "vpce-*" is no interface endpoint's id or name`},
		{"no prefix", []string{"-prefixes", "pl-6da54004"}, 2, "", `ddbproxy-relay: -prefixes: "pl-6da54004" is no prefix such as 52.94.24.0/23`},
		{"IPv4 in IPv6", []string{"-prefixes", "52.94.24.0/23,::ffff:52.94.24.0/119"}, 2, "", `ddbproxy-relay: -prefixes: "::ffff:52.94.24.0/119" is no prefix`},
		{"another program's hash", []string{"-check", "00"}, 1, "", "ddbproxy-relay: the upload is damaged"},
		{"nobody there", nil, 1, "ddbproxy-relay 1 ", "ddbproxy-relay: no hello from ddbproxy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(tc.args...)
			if code != tc.code || !lineStarts(stdout, tc.stdout) || !lineStarts(stderr, tc.stderr) {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, %q, %q", code, stdout, stderr, tc.code, tc.stdout, tc.stderr)
			}
		})
	}
}

// TestEndsThoughStandardInputStaysOpen: os.Stdin blocks, and closing it does not
// end a read.
func TestEndsThoughStandardInputStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, silent := io.Pipe()
		defer silent.Close()
		p := Program{Stdin: in, Stdout: io.Discard, Stderr: io.Discard, Close: func() error { return nil }}
		start := time.Now()
		if code := p.Run(t.Context(), nil); code != 1 {
			t.Errorf("exit %d, want 1", code)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the relay stayed for %v", took)
		}
	})
}

func lineStarts(text, with string) bool {
	return with == "" && text == "" || with != "" && strings.Contains("\n"+text, "\n"+with)
}

// TestFlagsNarrowWhatIsDialled: regions and interface endpoints are pinned on
// the bastion, whatever the laptop asks for.
func TestFlagsNarrowWhatIsDialled(t *testing.T) {
	t.Parallel()
	near, far := duplex(t)
	dialled := make(chan string, 8)
	p := Program{Stdin: far, Stdout: far, Stderr: new(bytes.Buffer), Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
		dialled <- addr
		a, b := net.Pipe()
		b.Close()
		return a, nil
	}}
	ended := make(chan int, 1)
	go func() {
		ended <- p.Run(context.Background(), []string{"-region", "eu-west-1,eu-west-3", "-vpce", "vpce-0abc"})
	}()
	c, err := relay.NewClient(t.Context(), near, "test")
	if err != nil {
		t.Fatal(err)
	}
	for target, allowed := range map[string]bool{
		"dynamodb.eu-west-1.amazonaws.com:443":                   true,
		"dynamodb.eu-west-3.amazonaws.com:443":                   true,
		"dynamodb.us-east-1.amazonaws.com:443":                   false,
		"dynamodb.eu-west-1.amazonaws.com:80":                    false,
		"vpce-0abc-x1.dynamodb.eu-west-1.vpce.amazonaws.com:443": true,
		"vpce-0def-x1.dynamodb.eu-west-1.vpce.amazonaws.com:443": false,
		"169.254.169.254:80":                                     false,
		"dynamodb.eu-west-1.amazonaws.com.evil.example:443":      false,
		"streams.dynamodb.eu-west-1.amazonaws.com:443":           true,
		"evil.example:443":                                       false,
		"123456789012.ddb.eu-west-1.amazonaws.com:443":           true,
		"dynamodb.eu-west-1.amazonaws.com:443 HTTP/1.1\r\nX: y":  false,
		"sts.eu-west-1.amazonaws.com:443":                        false,
	} {
		conn, err := c.DialContext(t.Context(), "tcp", target)
		if (err == nil) != allowed {
			t.Errorf("%q: error %v, want allowed %v", target, err, allowed)
		}
		if err == nil {
			conn.Close()
			if got := <-dialled; got != target {
				t.Errorf("dialled %q, want %q", got, target)
			}
		}
	}
	c.Close()
	if code := <-ended; code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	if len(dialled) > 0 {
		t.Errorf("dialled %q beside what was allowed", <-dialled)
	}
}

// duplex is a buffered pair, as a program's standard input and output are.
func duplex(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}
