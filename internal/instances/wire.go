package instances

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"

	"github.com/ddbproxy/ddbproxy/internal/edge"
)

// maxBody is more than either action takes.
const maxBody = 64 << 10

// ServeHTTP tells the two services apart by how they are spoken to: Instance
// Connect by AWS's JSON 1.1, EC2 by its Query protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return // the client has gone, or is none
	}
	form, err := url.ParseQuery(string(body))
	switch {
	case r.Header.Get("X-Amz-Target") == "AWSEC2InstanceConnectService."+Push:
		s.servePush(w, r, body)
	case err == nil && form.Get("Action") == Describe && form.Get("Version") == "2016-11-15":
		s.serveDescribe(w, r, body, form.Get("InstanceId.1"))
	default:
		http.Error(w, "no such action", http.StatusNotFound)
	}
}

func (s *Server) servePush(w http.ResponseWriter, r *http.Request, body []byte) {
	var in struct{ InstanceId, InstanceOSUser, SSHPublicKey string }
	err := json.Unmarshal(body, &in)
	refusal := s.refusal(Push)
	switch {
	case !edge.SignedWith(r, body, s.KeyID, s.Secret, "ec2-instance-connect", s.Region):
		refusal = &Refusal{http.StatusBadRequest, "InvalidSignatureException", "The request signature does not match."}
	case err != nil:
		refusal = &Refusal{http.StatusBadRequest, "SerializationException", "not JSON"}
	case refusal == nil:
		refusal = s.push(Pushed{Instance: in.InstanceId, User: in.InstanceOSUser, Key: in.SSHPublicKey})
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if refusal != nil {
		w.WriteHeader(refusal.Status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": refusal.Code, "Message": refusal.Message})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"RequestId": requestID, "Success": true})
}

const requestID = "00000000-0000-4000-8000-000000000000"

// description is the answer of DescribeInstances, as far as it goes here.
type description struct {
	XMLName   xml.Name  `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ DescribeInstancesResponse"`
	RequestID string    `xml:"requestId"`
	Instance  described `xml:"reservationSet>item>instancesSet>item"`
}

type described struct {
	ID        string `xml:"instanceId"`
	State     string `xml:"instanceState>name"`
	PublicIP  string `xml:"ipAddress,omitempty"`
	PrivateIP string `xml:"privateIpAddress,omitempty"`
}

// complaint is EC2's form of an error.
type complaint struct {
	XMLName   xml.Name `xml:"Response"`
	Code      string   `xml:"Errors>Error>Code"`
	Message   string   `xml:"Errors>Error>Message"`
	RequestID string   `xml:"RequestID"`
}

func (s *Server) serveDescribe(w http.ResponseWriter, r *http.Request, body []byte, id string) {
	s.mu.Lock()
	i, known := s.instances[id]
	s.mu.Unlock()
	refusal := s.refusal(Describe)
	switch {
	case !edge.SignedWith(r, body, s.KeyID, s.Secret, "ec2", s.Region):
		refusal = &Refusal{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	case refusal == nil && !known:
		refusal = &Refusal{http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance ID '" + id + "' does not exist"}
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	if refusal != nil {
		w.WriteHeader(refusal.Status)
		_ = xml.NewEncoder(w).Encode(complaint{Code: refusal.Code, Message: refusal.Message, RequestID: requestID})
		return
	}
	_ = xml.NewEncoder(w).Encode(description{RequestID: requestID, Instance: described{id, i.State, i.PublicIP, i.PrivateIP}})
}

// refusal is what an action was told to fail with, nil for nothing.
func (s *Server) refusal(action string) *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.refusals[action]; r.Code != "" {
		return &r
	}
	return nil
}
