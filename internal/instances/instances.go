// Package instances is a small EC2 in process, for tests: SendSSHPublicKey of
// EC2 Instance Connect and DescribeInstances of EC2, as AWS's own clients call
// them. A Server is both services' endpoint, and Accepts is what an instance's
// sshd asks.
//
//	ec2 := &instances.Server{Region: "eu-west-1", KeyID: id, Secret: secret}
//	ec2.Put("i-0123456789abcdef0", instances.Instance{State: "running", PublicIP: "192.0.2.1"})
//	http.Serve(listener, ec2)
//
// It knows no other action and refuses requests that are not signed with its
// key for its region.
package instances

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Valid is how long an instance takes a key that was pushed to it (API
// reference of EC2 Instance Connect, SendSSHPublicKey).
const Valid = 60 * time.Second

// The actions, for Refuse.
const (
	Describe = "DescribeInstances"
	Push     = "SendSSHPublicKey"
)

// Server is both services' endpoint. Its fields are set before it serves.
type Server struct {
	Region        string
	KeyID, Secret string
	// OnPush, where it is set, is told of a key before the push is answered.
	OnPush func(Pushed)
	// Now is the clock; nil is the machine's.
	Now func() time.Time

	mu        sync.Mutex
	instances map[string]Instance
	refusals  map[string]Refusal
	pushed    []Pushed
}

// Instance is what DescribeInstances tells of one.
type Instance struct {
	State               string // pending, running, stopped ...
	PublicIP, PrivateIP string // "" for none
}

// Refusal is an error that an action answers with.
type Refusal struct {
	Status  int // of HTTP
	Code    string
	Message string
}

// Pushed is a key that an instance takes from a user, for a time from At.
type Pushed struct {
	Instance, User string
	Key            string // a line of authorized_keys
	At             time.Time
}

// Put starts or changes an instance.
func (s *Server) Put(id string, i Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instances == nil {
		s.instances = make(map[string]Instance)
	}
	s.instances[id] = i
}

// Refuse has an action fail from now on; a zero Refusal ends that.
func (s *Server) Refuse(action string, with Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusals == nil {
		s.refusals = make(map[string]Refusal)
	}
	s.refusals[action] = with
}

// Pushes are all keys that were pushed, the oldest first.
func (s *Server) Pushes() []Pushed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Pushed(nil), s.pushed...)
}

// Accepts reports whether an instance takes a key from a user now.
func (s *Server) Accepts(id, user string, key ssh.PublicKey) bool {
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	for _, p := range s.Pushes() {
		if p.Instance == id && p.User == user && strings.HasPrefix(p.Key, line) && s.now().Sub(p.At) < Valid {
			return true
		}
	}
	return false
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// push does what SendSSHPublicKey does.
func (s *Server) push(p Pushed) *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, known := s.instances[p.Instance]
	switch key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(p.Key)); {
	case err != nil || len(p.Key) < 80 || len(p.Key) > 4096 || p.User == "":
		return &Refusal{http.StatusBadRequest, "InvalidArgsException", "The SSH public key or user name is not valid."}
	case key.Type() != ssh.KeyAlgoED25519 && key.Type() != ssh.KeyAlgoRSA:
		return &Refusal{http.StatusBadRequest, "InvalidArgsException", "The SSH public key is of a kind that is not supported."}
	case !known:
		return &Refusal{http.StatusBadRequest, "EC2InstanceNotFoundException", "Instance not found"}
	case i.State != "running":
		return &Refusal{http.StatusBadRequest, "EC2InstanceStateInvalidException", fmt.Sprintf("The instance is %s.", i.State)}
	}
	p.At = s.now()
	s.pushed = append(s.pushed, p)
	if s.OnPush != nil {
		s.OnPush(p)
	}
	return nil
}
