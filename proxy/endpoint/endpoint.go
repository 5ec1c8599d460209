// Package endpoint knows the DNS names under which AWS serves DynamoDB and DynamoDB Streams, in all partitions.
// Parse takes a name apart, Host builds one, and Allow says whether an address may be dialled. Both ends of the tunnel
// ask it: the laptop to choose and refuse early, the relay to keep the bastion's account from reaching anything else.
//
//	ep, err := endpoint.Parse("123456789012.ddb.eu-west-1.amazonaws.com")
//	// ep.Service == endpoint.DynamoDB, ep.Region == "eu-west-1", ep.Account == "123456789012"
//
// The package resolves and dials nothing, and accepts no name outside the DNS suffixes of a partition in its table, so
// whoever may choose the name still cannot choose a host that AWS does not own.
package endpoint

import "strings"

// Service is one of the two services that speak DynamoDB's protocol.
type Service int

const (
	DynamoDB Service = iota
	Streams          // DynamoDB Streams; not served by gateway VPC endpoints
)

// String returns the service's name as the ends of VPC endpoint service names have it.
func (s Service) String() string {
	if s == Streams {
		return "dynamodb-streams"
	}
	return "dynamodb"
}

// Endpoint is what a DynamoDB endpoint name says.
type Endpoint struct {
	Service   Service
	Region    string
	FIPS      bool   // the name says -fips; GovCloud's plain names are FIPS endpoints without saying so
	DualStack bool   // IPv4 and IPv6
	Account   string // 12 digits in account-based names, else empty
	VPCE      string // id of the interface endpoint ("vpce-0abc123") in PrivateLink names, else empty
	Host      string // the whole name, lower case, without a trailing dot
}

// NameError is returned for a name or region that is not DynamoDB's.
type NameError struct {
	Name   string
	Reason string
}

func (e *NameError) Error() string { return quote(e.Name) + " is not a DynamoDB endpoint: " + e.Reason }

// Host returns the name of a service in a region, as the rules of AWS's own SDKs give it. GovCloud has no dynamodb-fips
// names without dual stack: there the plain name is the FIPS endpoint. A region of no known partition is a *NameError.
func Host(service Service, region string, fips, dualStack bool) (string, error) {
	p, ok := partitionOf(region)
	if !ok {
		return "", &NameError{region, "no partition has a region of this name; regions look like eu-west-1"}
	}
	suffix := p.suffix
	if dualStack {
		suffix = p.dualStack
	}
	name := "dynamodb"
	if fips && !(p.plainFIPS && !dualStack) {
		name = "dynamodb-fips"
	}
	if service == Streams {
		if dualStack && p.hyphenStreams {
			name = "streams-" + name
		} else {
			name = "streams." + name
		}
	}
	return name + "." + region + "." + suffix, nil
}

// Parse takes an endpoint's name apart. Upper case and one trailing dot are accepted and normalised away; a port, a
// scheme, anything before or after the name is a *NameError.
func Parse(host string) (Endpoint, error) {
	name, err := normalise(host)
	if err != nil {
		return Endpoint{}, err
	}
	refuse := func(reason string) (Endpoint, error) { return Endpoint{}, &NameError{host, reason} }
	reason := "it does not end in a DNS suffix of AWS, such as amazonaws.com or api.aws"
	for _, p := range partitions {
		for _, dual := range []bool{false, true} {
			suffix := p.suffix
			if dual {
				suffix = p.dualStack
			}
			left, ok := strings.CutSuffix(name, "."+suffix)
			if !ok {
				continue
			}
			vpce := false
			if !dual {
				left, vpce = strings.CutSuffix(left, ".vpce")
			}
			dot := strings.LastIndexByte(left, '.')
			if dot < 0 || !p.owns(left[dot+1:]) {
				reason = "no region of DynamoDB stands before the suffix"
				continue // amazonaws.com and api.aws belong to two partitions
			}
			ep := Endpoint{Region: left[dot+1:], DualStack: dual, Host: name}
			left = left[:dot]
			if vpce {
				label, service, _ := strings.Cut(left, ".")
				if ep.VPCE, ok = vpceID(label); !ok {
					return refuse("a PrivateLink name begins with vpce-ID-SUFFIX")
				}
				left = service
			}
			if account, rest, _ := strings.Cut(left, "."); rest == "ddb" && isAccount(account) && p.accounts && !vpce {
				ep.Account = account
				return ep, nil
			}
			if ep.Service, ep.FIPS, ok = parseService(left, dual); !ok {
				return refuse("only dynamodb and streams.dynamodb are served, and their -fips and account-based forms")
			}
			return ep, nil
		}
	}
	return refuse(reason)
}

// parseService reads the labels before the region.
func parseService(s string, dualStack bool) (service Service, fips, ok bool) {
	s, fips = strings.CutSuffix(s, "-fips")
	switch {
	case s == "dynamodb":
		return DynamoDB, fips, true
	case s == "streams.dynamodb", s == "streams-dynamodb" && dualStack:
		return Streams, fips, true
	}
	return 0, false, false
}

// vpceID takes the endpoint's id off a label such as vpce-0abc123-d4e5f6 or vpce-0abc123-d4e5f6-eu-west-1a.
func vpceID(label string) (string, bool) {
	parts := strings.SplitN(label, "-", 4)
	if len(parts) < 3 || parts[0] != "vpce" || parts[1] == "" || parts[2] == "" || strings.HasSuffix(label, "-") {
		return "", false
	}
	return parts[0] + "-" + parts[1], true
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// normalise lowers ASCII letters and strips one trailing dot. It looks at bytes, because strings.ToLower would turn the
// Kelvin sign into a k.
func normalise(host string) (string, error) {
	name := strings.TrimSuffix(host, ".")
	if name == "" || len(name) > 253 {
		return "", &NameError{host, "a name has 1 to 253 characters"}
	}
	label := 0 // where the current label begins
	for i := range len(name) {
		switch c := name[i]; {
		case i-label == 63 && c != '.':
			return "", &NameError{host, "a part between dots has at most 63 characters"}
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		case c == '.' && i > label:
			label = i + 1
		default:
			return "", &NameError{host, "give the bare name: letters, digits, hyphens and single dots"}
		}
	}
	return strings.ToLower(name), nil
}
