package doctor

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/ddbproxy/ddbproxy/internal/survey"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// look asks the relay where it is, once. skip is why it was not told.
func (w *Way) look(ctx context.Context, f *Facts) (s survey.Survey, skip *Finding) {
	if w.surveyed == nil {
		w.surveyed = new(survey.Survey)
		*w.surveyed, w.blind = w.ask(ctx, f)
	}
	return *w.surveyed, w.blind
}

func (w *Way) ask(ctx context.Context, f *Facts) (survey.Survey, *Finding) {
	none := func(format string, args ...any) (survey.Survey, *Finding) {
		s := Skip(format, args...)
		return survey.Survey{}, &s
	}
	status := w.Client.Status()
	if status.Carrier == tunnel.CarrierForward {
		return none("there is no relay that could tell")
	}
	answer, err := w.Client.Ask(ctx, survey.Question(f.Endpoint))
	var refused *relay.Error
	if errors.As(err, &refused) && refused.Kind == relay.KindDenied {
		return none("the relay there, %s, is from before this question: update ddbproxy-relay", status.Relay)
	}
	if err != nil {
		return none("the relay did not answer: %v", err)
	}
	s, err := survey.Read(answer)
	if err != nil {
		return none("%v", err)
	}
	return s, nil
}

// place is where the bastion is, by its instance metadata.
func (w *Way) place(ctx context.Context, f *Facts) Finding {
	s, skip := w.look(ctx, f)
	if skip != nil {
		return *skip
	}
	p := s.Place
	f.BastionRegion, f.VPC, f.Subnet = p.Region, p.VPC, p.Subnet
	f.Instance = cmp.Or(p.Instance, f.Instance) // --instance-connect has told it already
	f.SecurityGroups, f.PrivateAddr = p.SecurityGroups, p.PrivateAddr
	if p.Region == "" && s.MetadataError == "" {
		return Skip("the relay's answer tells neither where it is nor why not")
	}
	if p.Region == "" {
		return Skip("%s: is it an EC2 instance, with the metadata service on?", s.MetadataError)
	}
	var parts []string
	for _, part := range []string{p.Region, p.VPC, p.Subnet, p.Instance} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	seen := strings.Join(parts, ", ")
	ep, err := endpoint.Parse(f.Endpoint)
	if err != nil || ep.Region == p.Region {
		return Well("%s", seen)
	}
	return Bad(seen+", and "+f.Endpoint+" is in "+ep.Region, "A gateway endpoint serves its own region only: what is for another region leaves the VPC by another way, or not at all.",
		"ddbproxy connect "+f.Bastion+" --region "+p.Region)
}

// dns is what the bastion's resolver says of DynamoDB. Whether that belongs to an
// endpoint of the VPC, AWS has to tell.
func (w *Way) dns(ctx context.Context, f *Facts) Finding {
	s, skip := w.look(ctx, f)
	if skip != nil {
		return *skip
	}
	f.Addresses = s.Addresses
	if s.Refused != "" {
		return Skip("the relay there looks up no name that it may not dial: %s", s.Refused)
	}
	if s.NameError != "" {
		return Bad(s.NameError, "The bastion cannot find DynamoDB's address.", "in the VPC console, set Enable DNS resolution of the bastion's VPC")
	}
	var texts []string
	for _, a := range s.Addresses {
		texts = append(texts, a.String())
	}
	seen := strings.Join(texts, ", ")
	ep, _ := endpoint.Parse(f.Endpoint) // another name has no VPCE
	switch {
	case len(s.Addresses) == 0:
		return Skip("the relay did not look")
	case nobody(s.Addresses):
		return Bad(seen, "Something on the bastion answers in place of AWS's DNS: nothing is at such an address.", "look for "+f.Endpoint+" in the bastion's /etc/hosts and /etc/resolv.conf")
	case private(s.Addresses):
		return Well("%s: private, as an interface endpoint's", seen)
	case ep.VPCE != "":
		return Bad(seen, "The name of an interface endpoint has private addresses, and these are public.", "look for "+f.Endpoint+" in the bastion's /etc/hosts and /etc/resolv.conf")
	}
	return Well("%s: public, as a gateway endpoint needs it", seen)
}

// nobody reports whether one of the addresses is no server's.
func nobody(addrs []netip.Addr) bool {
	for _, a := range addrs {
		if a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() {
			return true
		}
	}
	return false
}
