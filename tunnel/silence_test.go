package tunnel

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// A server that has begun to ask may wait for somebody's telephone; one that
// has not is given up soon.
func TestSilenceIsBornLongerWhileAPersonIsAsked(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ask     asker
		timeout time.Duration
		allowed []string
		want    time.Duration
	}{
		{"keys only", func(string, bool) (string, error) { return "", nil }, 0, []string{"publickey"}, connectTimeout},
		{"a question", func(string, bool) (string, error) { return "", nil }, 0, []string{"publickey", "keyboard-interactive"}, personTime},
		{"nobody to ask", nil, 0, []string{"keyboard-interactive"}, connectTimeout},
		{"ConnectTimeout", nil, 3 * time.Second, []string{"publickey"}, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				defer far.Close()
				conn := watch(near)
				a := &authentication{host: &host{Methods: []string{"publickey", "keyboard-interactive"}, ConnectTimeout: tc.timeout}, ask: tc.ask, offered: new(offer)}
				if m, err := a.next(&ssh.ClientAuthContext{AllowedMethods: tc.allowed}); m != nil || err != nil {
					t.Fatalf("next = %v, %v, want the order of methods to decide", m, err)
				}
				began := time.Now()
				conn.closeWhenSilent(a.limit, new(atomic.Int32), make(chan struct{}))
				if took := time.Since(began); took < tc.want || took > tc.want+2*time.Second {
					t.Errorf("given up after %v, want %v", took, tc.want)
				}
			})
		})
	}
}
