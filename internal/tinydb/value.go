package tinydb

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// maxDepth is how deep lists and maps may nest (Developer Guide, "Limits").
const maxDepth = 32

// value is one AttributeValue. It is never changed once it is made, so items may be
// read without a lock.
type value struct {
	typ  string           // S N B BOOL NULL L M SS NS BS
	str  string           // S; B as raw bytes
	num  number           // N
	bool bool             // BOOL
	list []value          // L; the members of a set
	m    map[string]value // M
}

// item is the attributes of one item, by name.
type item map[string]value

// UnmarshalJSON reads {"S":"…"} and its kin; its errors are *apiError.
func (v *value) UnmarshalJSON(raw []byte) error {
	parsed, err := parseValue(raw, 1)
	*v = parsed
	return err
}

func parseValue(raw []byte, depth int) (value, error) {
	if depth > maxDepth {
		return value{}, invalid("Nesting Levels have exceeded supported limits")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return value{}, serialization("Unexpected value type in payload")
	}
	maps.DeleteFunc(members, func(_ string, raw json.RawMessage) bool { return string(raw) == "null" })
	if len(members) > 1 {
		return value{}, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	for typ, raw := range members {
		return parseTyped(typ, raw, depth)
	}
	return value{}, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func parseTyped(typ string, raw []byte, depth int) (value, error) {
	v := value{typ: typ}
	switch typ {
	case "S", "N", "B":
		return parseScalar(typ, raw)
	case "BOOL":
		return v, decodeMember(raw, &v.bool)
	case "NULL":
		if err := decodeMember(raw, &v.bool); err != nil || v.bool {
			return v, err
		}
		return v, invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
	case "SS", "NS", "BS":
		var members []json.RawMessage
		if err := decodeMember(raw, &members); err != nil {
			return v, err
		}
		return parseSet(typ, members)
	case "L":
		var members []json.RawMessage
		if err := decodeMember(raw, &members); err != nil {
			return v, err
		}
		for _, raw := range members {
			member, err := parseValue(raw, depth+1)
			if err != nil {
				return v, err
			}
			v.list = append(v.list, member)
		}
		return v, nil
	case "M":
		var members map[string]json.RawMessage
		if err := decodeMember(raw, &members); err != nil {
			return v, err
		}
		v.m = make(map[string]value, len(members))
		for name, raw := range members {
			member, err := parseValue(raw, depth+1)
			if err != nil {
				return v, err
			}
			v.m[name] = member
		}
		return v, nil
	}
	return v, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func parseScalar(typ string, raw []byte) (value, error) {
	v := value{typ: typ}
	if typ == "B" {
		var b []byte
		err := decodeMember(raw, &b)
		v.str = string(b)
		return v, err
	}
	if err := decodeMember(raw, &v.str); err != nil || typ == "S" {
		return v, err
	}
	text := v.str
	v.str = ""
	var err error
	v.num, err = parseNumber(text)
	return v, err
}

// parseSet reads the members of a set, which has at least one and none twice.
func parseSet(typ string, members []json.RawMessage) (value, error) {
	v := value{typ: typ}
	if len(members) == 0 {
		return v, invalid("One or more parameter values were invalid: An %s set may not be empty",
			map[string]string{"SS": "string", "NS": "number", "BS": "binary"}[typ])
	}
	seen := map[string]bool{}
	for _, raw := range members {
		member, err := parseScalar(typ[:1], raw)
		if err != nil {
			return v, err
		}
		if seen[member.order()] {
			return v, invalid("One or more parameter values were invalid: Input collection of type %s contains duplicates.", typ)
		}
		seen[member.order()] = true
		v.list = append(v.list, member)
	}
	return v, nil
}

func decodeMember(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return serialization("Unexpected value type in payload")
	}
	return nil
}

// order gives bytes that sort as DynamoDB sorts key values of one type: numbers as
// numbers, strings by their UTF-8 bytes, binary by unsigned bytes.
func (v value) order() string {
	if v.typ == "N" {
		return v.num.order()
	}
	return v.str
}

// ordered reports whether < and its kin are defined for the type.
func (v value) ordered() bool { return v.typ == "S" || v.typ == "N" || v.typ == "B" }

// equal compares type and content; sets have no order.
func (v value) equal(w value) bool {
	if v.typ != w.typ {
		return false
	}
	switch v.typ {
	case "L":
		return slices.EqualFunc(v.list, w.list, value.equal)
	case "M":
		return maps.EqualFunc(v.m, w.m, value.equal)
	case "SS", "NS", "BS":
		byOrder := func(a, b value) int { return strings.Compare(a.order(), b.order()) }
		return slices.EqualFunc(slices.SortedFunc(slices.Values(v.list), byOrder), slices.SortedFunc(slices.Values(w.list), byOrder), value.equal)
	}
	return v.str == w.str && v.num == w.num && v.bool == w.bool
}
