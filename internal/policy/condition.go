package policy

import (
	"net/netip"
	"strings"
)

// operator is a condition operator without what stands before and after it.
type operator struct {
	matches func(policy, request string) truth
	negated bool // it asks that no value matches
	expands bool // its values may have variables
}

var operators = map[string]operator{
	"StringEquals":              {equal, false, true},
	"StringNotEquals":           {equal, true, true},
	"StringEqualsIgnoreCase":    {equalFold, false, true},
	"StringNotEqualsIgnoreCase": {equalFold, true, true},
	"StringLike":                {like, false, true},
	"StringNotLike":             {like, true, true},
	"ArnEquals":                 {likeARN, false, true}, // ArnEquals and ArnLike are the same
	"ArnLike":                   {likeARN, false, true},
	"ArnNotEquals":              {likeARN, true, true},
	"ArnNotLike":                {likeARN, true, true},
	"Bool":                      {equalFold, false, true},
	"IpAddress":                 {within, false, false},
	"NotIpAddress":              {within, true, false},
}

func equal(policy, request string) truth     { return is(policy == request) }
func equalFold(policy, request string) truth { return is(strings.EqualFold(policy, request)) }
func like(policy, request string) truth      { return is(wildcard(policy, request)) }
func likeARN(policy, request string) truth   { return is(arnMatches(policy, request)) }

// within holds an address against an address or a network.
func within(policy, request string) truth {
	network, err := netip.ParsePrefix(policy)
	if err != nil {
		single, err := netip.ParseAddr(policy)
		if err != nil {
			return unknown
		}
		network = netip.PrefixFrom(single, single.BitLen())
	}
	addr, err := netip.ParseAddr(request)
	return is(err == nil && network.Contains(addr))
}

// condition evaluates one line of a Condition block.
func (e *evaluation) condition(c Condition) truth {
	name, optional := strings.CutSuffix(c.Operator, "IfExists")
	name, forAny := strings.CutPrefix(name, "ForAnyValue:")
	name, forAll := strings.CutPrefix(name, "ForAllValues:")
	op, ok := operators[name]
	null := c.Operator == "Null"
	if !ok && !null || forAny && forAll {
		return e.dunno("the operator %s", c.Operator)
	}
	values, known := e.request.Context[strings.ToLower(c.Key)]
	if !known {
		return e.dunno("%s", c.Key)
	}
	absent := len(values) == 0
	switch {
	case null:
		return anyOf(c.Values, func(v string) truth { return is(strings.EqualFold(v, "true") == absent) })
	case absent && optional && forAny:
		return e.dunno("%s on %s, which is absent", c.Operator, c.Key) // AWS does not say what it makes of this
	case absent:
		// Nothing can be equal to what is not there, so everything differs from it;
		// all of no values are whatever one likes, and none of them is anything.
		return is(optional || forAll || op.negated && !forAny)
	case len(values) > 1 && !forAny && !forAll:
		return e.dunno("%s, which has several values, by %s", c.Key, c.Operator)
	}
	holds := func(value string) truth {
		t := anyOf(c.Values, func(wanted string) truth {
			switch {
			case value == Some:
				return e.dunno("the value of %s", c.Key)
			case op.expands && e.variables && strings.Contains(wanted, "${"):
				return e.dunno("the variable in %s", wanted)
			}
			t := op.matches(wanted, value)
			if t == unknown {
				return e.dunno("%s as a value of %s", wanted, c.Key)
			}
			return t
		})
		if op.negated {
			return t.not()
		}
		return t
	}
	if forAny {
		return anyOf(values, holds)
	}
	t := yes
	for _, v := range values {
		t = min(t, holds(v))
	}
	return t
}
