package doctor

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// Who has shown no key may still be the bastion: it is not said to be another.
func TestNoHostKeyIsNotAWrongOne(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"silent":           func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"closes at once":   func(net.Conn) {},
		"another protocol": func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, func(s *stage) {
				s.write("ssh_config", "ConnectTimeout 1\n")
				addr := s.listen(func(l net.Listener) error {
					for {
						c, err := l.Accept()
						if err != nil {
							return err
						}
						serve(c)
						c.Close()
					}
				})
				s.way.Client.Destination = "dev@" + addr.String()
			})
			results, text := s.examine()
			r := by(t, results, "ssh.hostkey")
			if r.Outcome != Failed || strings.Contains(r.Meaning, "not certain") || !strings.Contains(r.Meaning, "shown no host key") {
				t.Errorf("found %+v\n%s", r, text)
			}
			complete(t, results)
		})
	}
	s := newStage(t, func(s *stage) { s.write("known_hosts", "") })
	results, _ := s.examine()
	if r := by(t, results, "ssh.hostkey"); !strings.Contains(r.Meaning, "not certain") {
		t.Errorf("an unknown key: %+v", r)
	}
}

// A relay that leaves out why it does not know its place is not quoted.
func TestAnswerWithoutAPlaceHasAReason(t *testing.T) {
	for _, answer := range []string{"null", "{}"} {
		s := newStage(t, func(s *stage) {
			s.bastion.Exec = func(_ string, ch ssh.Channel) int {
				server := &relay.Server{Version: "devel", Allow: func(string) error { return nil }, Dial: s.dialInside,
					Questions: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })}
				_ = server.Serve(context.Background(), ch) // until the laptop leaves
				return 0
			}
		})
		results, _ := s.examine()
		if r := by(t, results, idPlace); r.Outcome != Skipped || r.Detail != "the relay's answer tells neither where it is nor why not" {
			t.Errorf("%s: found %+v", answer, r)
		}
	}
}
