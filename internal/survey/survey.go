// Package survey is what a relay tells of the machine that it runs on, for
// ddbproxy doctor: where that is in AWS, and what its DNS says of DynamoDB. A
// Surveyor finds it out on the bastion, Read takes it on the laptop.
//
// It is the instance's place and nothing else: no credentials, no user data, no
// tags.
package survey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// Path is the question that a relay answers with a Survey; its query has the
// name to look up.
const Path = "/survey"

// Question asks for a survey with the addresses of name.
func Question(name string) string { return Path + "?name=" + name }

// Survey is the answer. What was not found out is empty, and the reason is in the
// field beside it.
type Survey struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	NameError string       `json:"name_error,omitempty"`
	// Refused is why the name was not looked up: the relay may not dial it.
	Refused string `json:"refused,omitempty"`

	Place         Place  `json:"place"`
	MetadataError string `json:"metadata_error,omitempty"`
}

// Place is where an EC2 instance is.
type Place struct {
	Region         string     `json:"region,omitempty"`
	Instance       string     `json:"instance,omitempty"`
	VPC            string     `json:"vpc,omitempty"`
	Subnet         string     `json:"subnet,omitempty"`
	SecurityGroups []string   `json:"security_groups,omitempty"` // ids
	PrivateAddr    netip.Addr `json:"private_addr,omitzero"`
}

// Surveyor looks. Its zero value is blind.
type Surveyor struct {
	// Lookup resolves a name as the bastion does; nil does not.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	// Metadata is the URL of the instance metadata service; "" is none.
	Metadata string
}

// Survey looks up name, which may be "", and finds out where it is.
func (s Surveyor) Survey(ctx context.Context, name string) Survey {
	found := Survey{Name: name}
	if name != "" && s.Lookup != nil {
		addrs, err := s.Lookup(ctx, name)
		for _, a := range addrs {
			found.Addresses = append(found.Addresses, a.Unmap())
		}
		if err != nil {
			found.NameError = err.Error()
		}
	}
	var err error
	if found.Place, err = s.place(ctx); err != nil {
		found.MetadataError = err.Error()
	}
	return found
}

// Handler answers questions for surveys. Names that allow refuses are not looked
// up.
func (s Surveyor) Handler(allow func(name string) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("name")
		var refused error
		if name != "" {
			if refused = allow(name); refused != nil {
				name = ""
			}
		}
		found := s.Survey(r.Context(), name)
		if refused != nil {
			found.Name, found.Refused = r.URL.Query().Get("name"), refused.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(found) // a client that left is no news
	})
	return mux
}

// Read takes an answer. It is the other side's, which may be anybody's: ids,
// regions and addresses are in their form or the answer is refused, since they end
// up in commands that a person is told to run; texts are one printable line.
func Read(answer []byte) (Survey, error) {
	var s Survey
	if err := json.Unmarshal(answer, &s); err != nil {
		return Survey{}, fmt.Errorf("the relay's answer is not what this ddbproxy knows: %w", err)
	}
	if wrong := s.Place.wrong(); wrong != "" {
		return Survey{}, fmt.Errorf("the relay's answer has %s that cannot be one", wrong)
	}
	if len(s.Addresses) > most || slices.ContainsFunc(s.Addresses, zoned) {
		return Survey{}, errors.New("the relay's answer has addresses that no name has")
	}
	for _, text := range []*string{&s.Name, &s.NameError, &s.Refused, &s.MetadataError} {
		*text = relay.Printable(*text, 300)
	}
	return s, nil
}

// most is how many addresses a name, or security groups an instance, can have here.
const most = 64

// isID reports whether text has the form of EC2's resource ids: vpc-0abc. The relay
// is the smaller without a regular expression.
func isID(text string) bool {
	kind, number, _ := strings.Cut(text, "-")
	return slices.Contains([]string{"i", "vpc", "subnet", "sg"}, kind) &&
		number != "" && len(number) <= 32 && strings.Trim(number, "0123456789abcdef") == ""
}

// wrong names what is in no form of AWS's, "" for nothing.
func (p Place) wrong() string {
	if _, err := endpoint.Host(endpoint.DynamoDB, p.Region, false, false); err != nil && p.Region != "" {
		return "a region"
	}
	for _, one := range append([]string{p.Instance, p.VPC, p.Subnet}, p.SecurityGroups...) {
		if one != "" && !isID(one) {
			return "an id"
		}
	}
	switch {
	case len(p.SecurityGroups) > most:
		return "more security groups"
	case zoned(p.PrivateAddr):
		return "an address"
	}
	return ""
}

// zoned reports whether an address has a zone, which may be any text.
func zoned(a netip.Addr) bool { return a.Zone() != "" }
