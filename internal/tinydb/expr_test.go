package tinydb

import (
	"strings"
	"testing"
)

// literals are the values that test expressions may name.
func literals() map[string]value {
	n := func(s string) value {
		parsed, err := parseNumber(s)
		if err != nil {
			panic(err)
		}
		return value{typ: "N", num: parsed}
	}
	return map[string]value{
		":one": n("1"), ":two": n("2.0"), ":ten": n("10"), ":s": {typ: "S", str: "abc"}, ":b": {typ: "S", str: "b"}, ":t": {typ: "BOOL", bool: true},
	}
}

func TestConditionsDecideAsDynamoDBDoes(t *testing.T) {
	t.Parallel()
	two := literals()[":two"]
	it := item{
		"s": {typ: "S", str: "abc"}, "n": two, "flag": {typ: "BOOL", bool: true},
		"tags": {typ: "SS", list: []value{{typ: "S", str: "a"}, {typ: "S", str: "b"}}},
		"l":    {typ: "L", list: []value{two}},
	}
	for expr, want := range map[string]bool{
		"s = :s": true, "s <> :s": false, "n = :two": true, "n < :ten": true, "n >= :ten": false, "n <= :two": true, "n > :one": true,
		"s < :ten":                         false, // two types are in no order
		"missing = :s":                     false,
		"missing <> :s":                    true,
		"missing < :s":                     false,
		"n BETWEEN :one AND :ten":          true,
		"n between :ten and :one":          false,
		"n IN (:one, :two)":                true,
		"n IN (:one)":                      false,
		"attribute_exists(s)":              true,
		"attribute_exists(missing)":        false,
		"attribute_not_exists(missing)":    true,
		"begins_with(s, :b)":               false,
		"begins_with(s, :s)":               true,
		"contains(s, :b)":                  true,
		"contains(tags, :b)":               true,
		"contains(tags, :s)":               false,
		"contains(l, :two)":                true,
		"contains(missing, :two)":          false,
		"flag = :t":                        true,
		"NOT flag = :t":                    false,
		"NOT NOT flag = :t":                true,
		"s = :b OR n = :two AND s = :s":    true,
		"(s = :s OR n = :two) AND s = :b":  false,
		"s = :s OR n = :two AND s = :b":    true, // AND binds tighter
		"NOT s = :b AND n = :two":          true, // NOT binds tightest
		"n BETWEEN :one AND :ten AND s=:s": true,
	} {
		e := expressions{values: literals()}
		n := e.condition("FilterExpression", &expr)
		if e.err != nil {
			t.Errorf("%s: %v", expr, e.err)
			continue
		}
		if got := n.eval(it); got != want {
			t.Errorf("%s = %v, want %v", expr, got, want)
		}
	}
}

func TestBadExpressionsNameTheTrouble(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"":                                 "Invalid FilterExpression: The expression can not be empty;",
		"s =":                              `Invalid FilterExpression: Syntax error; token: "<EOF>", near: "= <EOF>"`,
		"s = :s AND":                       `Invalid FilterExpression: Syntax error; token: "<EOF>", near: "AND <EOF>"`,
		"s ! :s":                           `Invalid FilterExpression: Syntax error; token: "!", near: "s !"`,
		"(s = :s":                          `Invalid FilterExpression: Syntax error; token: "<EOF>", near: ":s <EOF>"`,
		"s = :s s":                         `Invalid FilterExpression: Syntax error; token: "s", near: ":s s"`,
		"a.b = :s":                         "tinydb: nested attribute path (a.…) is not implemented",
		"a[0] = :s":                        "tinydb: nested attribute path (a[…) is not implemented",
		"size(s) > :one":                   "tinydb: function size is not implemented",
		"shout(s)":                         "Invalid FilterExpression: Invalid function name; function: shout",
		"begins_with(s)":                   "Invalid FilterExpression: Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
		"begins_with(s, :one)":             "Invalid FilterExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
		"s < :t":                           "Invalid FilterExpression: Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
		"attribute_exists(:s)":             "Invalid FilterExpression: Operator or function requires a document path; operator or function: attribute_exists",
		"s = " + strings.Repeat("x", 4093): "Invalid FilterExpression: Expression size has exceeded the maximum allowed size; expression size: 4097",
	} {
		e := expressions{values: literals()}
		e.condition("FilterExpression", &expr)
		var got string
		if api, ok := e.err.(*apiError); ok {
			got = api.msg
		}
		if got != want {
			t.Errorf("%.40q\n got %s\nwant %s", expr, got, want)
		}
	}
}

// FuzzCondition: no text makes the parser panic, and what it accepts is written back
// as an expression with the same meaning, that is the same String again.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		"a = :b", "#a <> :b AND NOT (x IN (:a,:b) OR y BETWEEN :l AND :h)", "begins_with(a,:b)", "attribute_exists(#n)", "((a>=:b))", "NOT NOT a<b", "a = :b OR", ":", "#", "é = :x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = parseProjection(s)
		n, err := parseCondition(s)
		if err != nil {
			return
		}
		written := n.String()
		if len(written) > maxExpression {
			return // parentheses added by String may not fit any more
		}
		again, err := parseCondition(written)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", s, written, err)
		}
		if again.String() != written {
			t.Errorf("%q: %q became %q", s, written, again)
		}
		// Unbound placeholders must be caught before anything is evaluated.
		e := expressions{}
		if n := e.condition("ConditionExpression", &s); n != nil {
			n.eval(item{"a": {typ: "S", str: "x"}})
		}
	})
}
