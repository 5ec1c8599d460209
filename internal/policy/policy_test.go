package policy

import (
	"reflect"
	"strings"
	"testing"
)

const (
	vpce  = "vpce-0123456789abcdef0"
	other = "vpce-0fedcba9876543210"
	music = "arn:aws:dynamodb:eu-west-1:123456789012:table/music"
)

func parse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// one makes a document of an effect and the rest of a statement.
func one(t testing.TB, effect, rest string) *Policy {
	t.Helper()
	return parse(t, `{"Version":"2012-10-17","Statement":{"Effect":"`+effect+`",`+rest+`}}`)
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{``, "the JSON ends too early"},
		{`{"Statement":[`, "the JSON ends too early"},
		{`[]`, "not a JSON object"},
		{`{}`, "it has no Statement"},
		{`{"Statement":[]}`, "it has no Statement"},
		{`{"Version":"2012-10-18"}`, `Version: "2012-10-18" is not 2012-10-17 or 2008-10-17`},
		{`{"statement":[]}`, "statement: not an element of a policy"},
		{`{"Statement":[]} {}`, "something follows"},
		{`{"Statement":{"Effect":"Allow"}}`, "number 1: it needs one of Action and NotAction"},
		{`{"Statement":{"Effect":"allow"}}`, `Effect: "allow" is not Allow or Deny`},
		{`{"Statement":{"Effect":"Deny","Effect":"Allow"}}`, "Effect is there twice"},
		{`{"Statement":{"Action":"*","Resource":"*"}}`, "it has no Effect"},
		{`{"Statement":{"Effect":"Allow","Action":"GetItem","Resource":"*"}}`, "write dynamodb:GetItem"},
		{`{"Statement":{"Effect":"Allow","Action":"*"}}`, "it needs one of Resource and NotResource"},
		{`{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}`, "Action: the list is empty"},
		{`{"Statement":{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}}`, "it needs one of Action and NotAction"},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":{"Ref":"x"}}}`, "Resource: not a string"},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a":{}}}}}`, "Condition: Bool: a: not a string"},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{}}}`, "Conditions: not an element of a statement"},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"me"}}`, "Principal: neither"},
		{`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"},{"Effect":"Allow","Action":"*","Resource":"*"}]}`, "some statements have a Principal"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestStatementsMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rest, action, resource string
		want                   Decision
	}{
		{`"Action":"dynamodb:*","Resource":"*"`, "dynamodb:GetItem", music, Allowed},
		{`"Action":"DYNAMODB:getitem","Resource":"*"`, "dynamodb:GetItem", music, Allowed}, // case does not matter
		{`"Action":"dynamodb:?etItem","Resource":"*"`, "dynamodb:GetItem", music, Allowed},
		{`"Action":["s3:*","*"],"Resource":"*"`, "dynamodb:GetItem", music, Allowed},
		{`"Action":"s3:*","Resource":"*"`, "dynamodb:GetItem", music, NotAllowed},
		{`"NotAction":"dynamodb:Delete*","Resource":"*"`, "dynamodb:GetItem", music, Allowed},
		{`"NotAction":"dynamodb:Delete*","Resource":"*"`, "dynamodb:DeleteItem", music, NotAllowed},
		{`"Action":"*","Resource":"` + music + `"`, "dynamodb:GetItem", music, Allowed},
		{`"Action":"*","Resource":"` + music + `"`, "dynamodb:Query", music + "/index/by-artist", NotAllowed},
		{`"Action":"*","Resource":"` + music + `/*"`, "dynamodb:Query", music + "/index/by-artist", Allowed},
		{`"Action":"*","Resource":"` + strings.ToUpper(music) + `"`, "dynamodb:GetItem", music, Unknown}, // ARN: in capitals is none
		{`"Action":"*","Resource":"arn:aws:dynamodb:*:*:table/mu*c"`, "dynamodb:GetItem", music, Allowed},
		{`"Action":"*","Resource":"arn:aws:dynamodb:*:table/music"`, "dynamodb:GetItem", music, NotAllowed}, // * ends at a colon
		{`"Action":"*","Resource":"arn:aws:dynamodb"`, "dynamodb:GetItem", music, Allowed},                  // what is missing may be anything
		{`"Action":"*","Resource":"arn:aws:dynamodb:*:*:table/*"`, "dynamodb:DescribeEndpoints", "*", NotAllowed},
		{`"Action":"*","NotResource":"arn:aws:dynamodb:*:*:table/secret"`, "dynamodb:GetItem", music, Allowed},
		{`"Action":"*","NotResource":"` + music + `"`, "dynamodb:GetItem", music, NotAllowed},
		{`"Action":"*","Resource":"arn:aws:dynamodb:*:*:table/${aws:username}"`, "dynamodb:GetItem", music, Unknown},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"`, "dynamodb:GetItem", music, NotAllowed},
		{`"Principal":"*","Action":"*","Resource":"*"`, "dynamodb:GetItem", music, Allowed},
		{`"Principal":{"AWS":["123456789012","*"]},"Action":"*","Resource":"*"`, "dynamodb:GetItem", music, Allowed},
		{`"Principal":{"AWS":"123456789012"},"Action":"*","Resource":"*"`, "dynamodb:GetItem", music, Unknown},
		{`"NotPrincipal":{"AWS":"*"},"Action":"*","Resource":"*"`, "dynamodb:GetItem", music, Unknown},
	} {
		got := Decide([]*Policy{one(t, "Allow", c.rest)}, Request{Action: c.action, Resource: c.resource})
		if got.Decision != c.want {
			t.Errorf("%s on %s by %s: %v, want %v", c.action, c.resource, c.rest, got, c.want)
		}
	}
}

func TestVariablesCameWithTheNewerLanguage(t *testing.T) {
	t.Parallel()
	text := `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:userid":"${x}"}}}}`
	r := Request{"dynamodb:GetItem", music, Context{"aws:userid": {"${x}"}}}
	if got := Decide([]*Policy{parse(t, text)}, r); got.Decision != Allowed {
		t.Errorf("2008: %v", got)
	}
	if got := Decide([]*Policy{parse(t, strings.Replace(text, "2008", "2012", 1))}, r); got.Decision != Unknown {
		t.Errorf("2012: %v", got)
	}
}

// TestConditions goes through AWS's tables of operators: what they make of a value
// that matches, of another, and of a key that is not there.
func TestConditions(t *testing.T) {
	t.Parallel()
	const y, n, u = Allowed, NotAllowed, Unknown
	for _, c := range []struct {
		condition              string
		values                 []string // that match, and another
		match, another, absent Decision
	}{
		{`"StringEquals":{"K":"a"}`, []string{"a", "A"}, y, n, n},
		{`"StringEquals":{"K":["b","a"]}`, []string{"a", "c"}, y, n, n},
		{`"StringEquals":{"K":[]}`, []string{"a", "c"}, n, n, n},
		{`"StringEquals":{"K":"a*"}`, []string{"a*", "ab"}, y, n, n},
		{`"StringEqualsIgnoreCase":{"K":"a"}`, []string{"A", "b"}, y, n, n},
		{`"StringLike":{"K":"a*"}`, []string{"ab", "ba"}, y, n, n},
		{`"StringNotEquals":{"K":"a"}`, []string{"b", "a"}, y, n, y},
		{`"StringNotEquals":{"K":["a","b"]}`, []string{"c", "b"}, y, n, y}, // none of them
		{`"StringNotLike":{"K":"a*"}`, []string{"b", "ab"}, y, n, y},
		{`"StringNotEqualsIgnoreCase":{"K":"a"}`, []string{"b", "A"}, y, n, y},
		{`"StringEqualsIfExists":{"K":"a"}`, []string{"a", "b"}, y, n, y},
		{`"StringNotEqualsIfExists":{"K":"a"}`, []string{"b", "a"}, y, n, y},
		{`"StringLikeIfExists":{"K":"a*"}`, []string{"ab", "b"}, y, n, y},
		{`"Bool":{"K":"true"}`, []string{"true", "false"}, y, n, n},
		{`"Bool":{"K":true}`, []string{"true", "false"}, y, n, n},
		{`"BoolIfExists":{"K":"false"}`, []string{"false", "true"}, y, n, y},
		{`"Null":{"K":"true"}`, []string{"", "a"}, n, n, y},
		{`"Null":{"K":"false"}`, []string{"", "a"}, y, y, n},
		{`"IpAddress":{"K":"203.0.113.0/24"}`, []string{"203.0.113.7", "203.0.114.7"}, y, n, n},
		{`"IpAddress":{"K":"203.0.113.7"}`, []string{"203.0.113.7", "203.0.113.8"}, y, n, n},
		{`"IpAddress":{"K":"2001:db8::/32"}`, []string{"2001:db8::1", "203.0.113.8"}, y, n, n},
		{`"IpAddress":{"K":"here"}`, []string{"203.0.113.7", "203.0.113.8"}, u, u, n},
		{`"NotIpAddress":{"K":["203.0.113.0/24","192.0.2.0/24"]}`, []string{"198.51.100.1", "192.0.2.1"}, y, n, y},
		{`"ArnLike":{"K":"arn:aws:iam::*:role/dev-*"}`, []string{"arn:aws:iam::123456789012:role/dev-a", "arn:aws:iam::123456789012:role/ops"}, y, n, n},
		{`"ArnEquals":{"K":"arn:aws:iam::*:role/dev-*"}`, []string{"arn:aws:iam::123456789012:role/dev-a", "arn:aws:iam::123456789012:role/ops"}, y, n, n},
		{`"ArnNotLike":{"K":"arn:aws:iam::*:role/ops"}`, []string{"arn:aws:iam::123456789012:role/dev-a", "arn:aws:iam::123456789012:role/ops"}, y, n, y},
		{`"ForAnyValue:StringEquals":{"K":"a"}`, []string{"a", "b"}, y, n, n},
		{`"ForAnyValue:StringNotEquals":{"K":"a"}`, []string{"b", "a"}, y, n, n},
		{`"ForAnyValue:StringEqualsIfExists":{"K":"a"}`, []string{"a", "b"}, y, n, u},
		{`"ForAllValues:StringEquals":{"K":"a"}`, []string{"a", "b"}, y, n, y},
		{`"ForAllValues:StringNotEquals":{"K":"a"}`, []string{"b", "a"}, y, n, y},
		{`"DateLessThan":{"K":"2030-01-01T00:00:00Z"}`, []string{"2029-01-01T00:00:00Z", "2031-01-01T00:00:00Z"}, u, u, u},
		{`"stringequals":{"K":"a"}`, []string{"a", "b"}, u, u, u},
		{`"StringEquals":{"K":"${aws:username}"}`, []string{"a", "b"}, u, u, n},
		{`"StringEquals":{"k2":"a"}`, []string{"a", "b"}, u, u, u}, // of which nothing is known
		{`"StringEquals":{"K":"a","k2":"a"}`, []string{"a", "b"}, u, n, n},
		{`"StringEquals":{"K":"a"},"Bool":{"K":"a"}`, []string{"a", "b"}, y, n, n},
	} {
		p := one(t, "Allow", `"Action":"*","Resource":"*","Condition":{`+c.condition+`}`)
		for i, want := range []Decision{c.match, c.another, c.absent} {
			var values []string
			if i < 2 {
				values = c.values[i : i+1]
			}
			got := Decide([]*Policy{p}, Request{"dynamodb:GetItem", music, Context{"k": values}})
			if got.Decision != want {
				t.Errorf("%s of %q: %v, want %v", c.condition, values, got, want)
			}
			if (got.Decision == Unknown) != (len(got.Depends) > 0) {
				t.Errorf("%s of %q: %v, and depends on %q", c.condition, values, got.Decision, got.Depends)
			}
		}
	}
}

func TestSetsOfValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		operator string
		values   []string
		want     Decision
	}{
		{"ForAllValues:StringLike", []string{"key1", "key2"}, Allowed},
		{"ForAllValues:StringLike", []string{"key1", "other"}, NotAllowed},
		{"ForAnyValue:StringLike", []string{"key1", "other"}, Allowed},
		{"ForAnyValue:StringNotLike", []string{"key1", "other"}, Allowed},
		{"ForAllValues:StringNotLike", []string{"key1", "other"}, NotAllowed},
		{"ForAnyValue:StringLike", []string{"key1", Some}, Allowed},
		{"ForAllValues:StringLike", []string{"key1", Some}, Unknown},
		{"StringLike", []string{"key1", "key2"}, Unknown}, // a set needs a set's operator
	} {
		p := one(t, "Allow", `"Action":"*","Resource":"*","Condition":{"`+c.operator+`":{"aws:TagKeys":"key*"}}`)
		if got := Decide([]*Policy{p}, Request{"dynamodb:TagResource", music, Context{"aws:tagkeys": c.values}}); got.Decision != c.want {
			t.Errorf("%s of %q: %v, want %v", c.operator, c.values, got, c.want)
		}
	}
}

func TestADenialWins(t *testing.T) {
	t.Parallel()
	all, nothing := `"Action":"*","Resource":"*"`, `"Action":"s3:*","Resource":"*"`
	perhaps := all + `,"Condition":{"StringEquals":{"aws:PrincipalTag/team":"music"}}`
	for _, c := range []struct {
		allow, deny string
		want        Decision
	}{
		{all, nothing, Allowed},
		{all, all, Denied},
		{nothing, nothing, NotAllowed},
		{nothing, all, Denied},
		{perhaps, all, Denied},
		{perhaps, nothing, Unknown},
		{all, perhaps, Unknown},
		{nothing, perhaps, NotAllowed}, // either way
	} {
		got := Decide([]*Policy{one(t, "Deny", c.deny), one(t, "Allow", c.allow)}, Request{Action: "dynamodb:GetItem", Resource: music})
		if got.Decision != c.want {
			t.Errorf("allow %s, deny %s: %v, want %v", c.allow, c.deny, got, c.want)
		}
		if got.Decision == Unknown && !reflect.DeepEqual(got.Depends, []string{"aws:PrincipalTag/team"}) {
			t.Errorf("depends on %q", got.Depends)
		}
	}
}

// FuzzParse: what was read can be written and read again as the same, and decided.
func FuzzParse(f *testing.F) {
	for _, p := range []*Policy{Allow(Scope{VPCEs: []string{vpce}}), Deny(Scope{VPCEs: []string{vpce, other}, Tables: []string{"music"}}), ForEndpoint(Scope{Account: "123456789012"})} {
		text, err := p.JSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"Id":"x","Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":["a"]},"NotAction":"*","NotResource":"<&>","Condition":{"Bool":{"a":true,"b":[]},"Null":{"a":[]},"IpAddress":{}}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		written, err := p.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(written)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%s\nis written as %s, and read as %+v: %v", text, written, again, err)
		}
		Check([]*Policy{p}, []*Policy{again}, Scope{VPCEs: []string{vpce}})
	})
}
