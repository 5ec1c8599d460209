package tinydb

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEveryTypeComesBackAsItWent(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	it := `{"Artist":{"S":"ü\u2028\"<"},"Year":{"N":"1"},"b":{"B":"AAH/"},"t":{"BOOL":false},"null":{"NULL":true},"e":{"S":""},
		"l":{"L":[{"S":"x"},{"L":[]},{"M":{}}]},"m":{"M":{"k":{"N":"-0.5"}}},"ss":{"SS":["b","a"]},"ns":{"NS":["1","-2"]},"bs":{"BS":["AA==","AQ=="]}}`
	put(t, db, it)
	expect(t, db, "GetItem", `{"TableName":"music","Key":{"Artist":{"S":"ü\u2028\"<"},"Year":{"N":"1"}}}`, `{"Item":`+it+`}`)
}

func TestSetsAreEqualInAnyOrder(t *testing.T) {
	t.Parallel()
	parse := func(s string) (v value) {
		if err := json.Unmarshal([]byte(s), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"SS":["a","b"]}`, `{"SS":["b","a"]}`, true},
		{`{"NS":["1","2"]}`, `{"NS":["2.0","1.0"]}`, true},
		{`{"SS":["a","b"]}`, `{"SS":["a","c"]}`, false},
		{`{"L":[{"S":"a"},{"S":"b"}]}`, `{"L":[{"S":"b"},{"S":"a"}]}`, false},
		{`{"M":{"a":{"N":"1"}}}`, `{"M":{"a":{"N":"1.0"}}}`, true},
		{`{"S":"1"}`, `{"N":"1"}`, false},
		{`{"BOOL":true}`, `{"BOOL":false}`, false},
	} {
		if got := parse(c.a).equal(parse(c.b)); got != c.want {
			t.Errorf("%s equal %s = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestBadValuesAreRefused(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`:                            "Supplied AttributeValue is empty",
		`{"X":"1"}`:                     "Supplied AttributeValue is empty",
		`{"S":1}`:                       "Unexpected value type in payload",
		`{"B":"not base64!"}`:           "Unexpected value type in payload",
		`{"NULL":false}`:                "Null attribute value types must have the value of true",
		`{"SS":[]}`:                     "An string set may not be empty",
		`{"SS":["a","a"]}`:              "contains duplicates",
		`{"NS":["1","1.0"]}`:            "contains duplicates",
		`{"M":{"a":{"L":[{"N":"x"}]}}}`: "cannot be converted to a numeric value: x",
		strings.Repeat(`{"L":[`, 33) + `{"S":"deep"}` + strings.Repeat(`]}`, 33): "Nesting Levels have exceeded supported limits",
	} {
		var v value
		err := json.Unmarshal([]byte(in), &v)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want an error with %q", in, err, want)
		}
	}
}

// FuzzValue: no JSON makes the reader panic, and what it accepts is written back as
// JSON for an equal value.
func FuzzValue(f *testing.F) {
	for _, s := range []string{`{"S":"a"}`, `{"N":"1e5"}`, `{"B":"AA=="}`, `{"L":[{"NULL":true}]}`, `{"M":{"a":{"BS":["AA=="]}}}`, `{"NS":["1"]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var v, again value
		if json.Unmarshal([]byte(s), &v) != nil {
			return
		}
		out, err := marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &again); err != nil || !v.equal(again) {
			t.Errorf("%q was written as %s: %v", s, out, err)
		}
	})
}
