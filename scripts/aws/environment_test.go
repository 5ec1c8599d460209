package aws

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/ddbproxy/ddbproxy/internal/policy"
)

// linkName is the DNS name that AWS gives an interface endpoint.
func linkName(kind string) string {
	if kind == "streams" {
		return link + "-abcdefgh.streams.dynamodb." + region + ".vpce.amazonaws.com"
	}
	return link + "-abcdefgh.dynamodb." + region + ".vpce.amazonaws.com"
}

// resource is one that is made, as its language has it.
type resource struct {
	kind, name string
	properties map[string]any
	after      []any // what CloudFormation's is to be made after
}

// first is the first in a list of objects; an empty one if there is none.
func (r resource) first(name string) resource {
	list, _ := r.properties[name].([]any)
	if len(list) == 0 {
		return resource{}
	}
	return resource{properties: list[0].(map[string]any)}
}

// text is a property, or a property of one in it; "" if there is none.
func (r resource) text(path ...string) string {
	var v any = r.properties
	for _, name := range path {
		inner, _ := v.(map[string]any)
		v = inner[name]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		return fmt.Sprint(len(v), v)
	}
	return fmt.Sprint(v)
}

// environment is what both languages are to make, in terms of neither.
type environment struct {
	Facts    []string
	Policies map[string]string // JSON by what has it
	Outputs  map[string]string
}

func (e *environment) fact(words ...string) { e.Facts = append(e.Facts, strings.Join(words, " ")) }

func (e *environment) policy(t *testing.T, of string, document any) {
	t.Helper()
	text, ok := document.(string)
	if !ok {
		b, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	e.Policies[of] = text
	if strings.Contains(text, "AssumeRole") {
		return // trust policies have no Resource
	}
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatalf("policy of %s: %v", of, err)
	}
	for _, s := range p.Statements { // keys of maps have no order
		slices.SortFunc(s.Condition, func(a, b policy.Condition) int { return strings.Compare(a.Operator, b.Operator) })
	}
	written, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	e.Policies[of] = string(written)
}

// after tells what has to be there before a machine or a load balancer is made.
// What only one language has as a resource of its own is left out.
func (e *environment) after(what string, ids []any) {
	var names []string
	for _, one := range ids {
		if name := strings.TrimSuffix(fmt.Sprint(one), "-2"); !strings.Contains(name, "aws_") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	e.fact(what, "after", strings.Join(names, " "))
}

// snake turns the template's names into the module's.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
