package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Request is a call as IAM sees it.
type Request struct {
	Action   string // "dynamodb:GetItem"
	Resource string // an ARN; "*" for a call that is about none
	Context  Context
}

// Context has what is known of a request. Names of keys are in lower case. A key
// with no values is known to be absent; a key that is not in the map may be there
// or not.
type Context map[string][]string

// Some stands for a value that is there and not known.
const Some = "\x00"

// Decision is what becomes of a request. A greater one lets more through.
type Decision int

// The decisions.
const (
	Denied     Decision = iota // a statement denies it, whatever others allow
	NotAllowed                 // no statement allows it (an implicit deny)
	Unknown                    // it depends on what is not known here
	Allowed
)

func (d Decision) String() string {
	return [...]string{"denied", "not allowed", "unknown", "allowed"}[d]
}

// MarshalText implements encoding.TextMarshaler.
func (d Decision) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Result is a decision and, where it is Unknown, what it depends on.
type Result struct {
	Decision Decision
	Depends  []string
}

// Decide says what all policies of a user or role together make of a request: a
// statement that denies wins over all that allow, and what none allows is not
// allowed.
func Decide(policies []*Policy, r Request) Result {
	var allow, deny truth
	var depends []string
	for _, p := range policies {
		for i := range p.Statements {
			s := &p.Statements[i]
			e := evaluation{request: r, variables: p.Version == Version2012}
			applies := e.statement(s)
			if applies == unknown {
				depends = append(depends, e.depends...)
			}
			if s.Effect == EffectDeny {
				deny = max(deny, applies)
			} else {
				allow = max(allow, applies)
			}
		}
	}
	switch {
	case deny == yes:
		return Result{Decision: Denied}
	case allow == no:
		return Result{Decision: NotAllowed}
	case allow == yes && deny == no:
		return Result{Decision: Allowed}
	}
	slices.Sort(depends)
	return Result{Unknown, slices.Compact(depends)}
}

// truth is a value of three-valued logic: and is min, or is max.
type truth int

const (
	no truth = iota
	unknown
	yes
)

func (t truth) not() truth { return yes - t }

func is(b bool) truth {
	if b {
		return yes
	}
	return no
}

// anyOf is true if f is for one of values.
func anyOf(values []string, f func(string) truth) truth {
	t := no
	for _, v := range values {
		t = max(t, f(v))
	}
	return t
}

// evaluation holds one request against one statement.
type evaluation struct {
	request   Request
	variables bool // the policy's language has ${variables}
	depends   []string
}

// dunno is the truth where something is not known.
func (e *evaluation) dunno(format string, args ...any) truth {
	e.depends = append(e.depends, fmt.Sprintf(format, args...))
	return unknown
}

func (e *evaluation) statement(s *Statement) truth {
	t := min(e.action(s), e.resource(s))
	if t == no {
		return no // what its conditions depend on does not matter
	}
	t = min(t, e.principal(s))
	for _, c := range s.Condition {
		t = min(t, e.condition(c))
	}
	return t
}

func (e *evaluation) action(s *Statement) truth {
	matches := func(pattern string) truth {
		return is(wildcard(strings.ToLower(pattern), strings.ToLower(e.request.Action)))
	}
	if s.NotAction != nil {
		return anyOf(s.NotAction, matches).not()
	}
	return anyOf(s.Action, matches)
}

func (e *evaluation) resource(s *Statement) truth {
	matches := func(pattern string) truth {
		if e.variables && strings.Contains(pattern, "${") {
			return e.dunno("the variable in Resource %s", pattern)
		}
		if pattern != "*" && !strings.HasPrefix(pattern, "arn:") {
			return e.dunno("Resource %s, which is no ARN", pattern)
		}
		return is(arnMatches(pattern, e.request.Resource))
	}
	if s.NotResource != nil {
		return anyOf(s.NotResource, matches).not()
	}
	return anyOf(s.Resource, matches)
}

// principal is known for policies that are for everybody, and for those of users
// and roles, which are for their own.
func (e *evaluation) principal(s *Statement) truth {
	if !s.ofResource() {
		return yes
	}
	var kinds map[string]json.RawMessage
	if string(s.Principal) == `"*"` {
		return yes
	}
	if json.Unmarshal(s.Principal, &kinds) == nil && kinds["AWS"] != nil {
		if who, err := texts(kinds["AWS"], false); err == nil && slices.Contains(who, "*") {
			return yes
		}
	}
	return e.dunno("who calls (Principal)")
}

// wildcard matches * with anything and ? with one character.
func wildcard(pattern, s string) bool {
	star, from := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0: // let the last * take one more
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// arnMatches compares two ARNs part by part: no wildcard reaches over a colon but
// in the last part, and parts that the pattern lacks may be anything.
func arnMatches(pattern, arn string) bool {
	if pattern == "*" {
		return true
	}
	if !strings.HasPrefix(arn, "arn:") {
		return false
	}
	patterns, parts := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	for i, part := range parts {
		if i < len(patterns) && !wildcard(patterns[i], part) {
			return false
		}
	}
	return len(patterns) <= len(parts)
}
