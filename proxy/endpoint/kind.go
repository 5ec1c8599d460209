package endpoint

// Kind is what an endpoint's name has beside service and region. A name may be of several kinds.
type Kind string

// The kinds. Standard is a name that is of none of the others.
const (
	KindStandard    Kind = "standard"
	KindFIPS        Kind = "fips"
	KindDualStack   Kind = "dual-stack"
	KindAccount     Kind = "account"
	KindPrivateLink Kind = "privatelink"
	KindStreams     Kind = "streams"
)

// Kinds lists all of them.
var Kinds = []Kind{KindStandard, KindFIPS, KindDualStack, KindAccount, KindPrivateLink, KindStreams}

// Kinds returns what ep is, at least one.
func (ep Endpoint) Kinds() []Kind {
	var kinds []Kind
	add := func(kind Kind, is bool) {
		if is {
			kinds = append(kinds, kind)
		}
	}
	add(KindFIPS, ep.FIPS)
	add(KindDualStack, ep.DualStack)
	add(KindAccount, ep.Account != "")
	add(KindPrivateLink, ep.VPCE != "")
	add(KindStreams, ep.Service == Streams)
	add(KindStandard, len(kinds) == 0)
	return kinds
}
