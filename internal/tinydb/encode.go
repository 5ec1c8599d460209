package tinydb

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// MarshalJSON writes {"S":"…"} and its kin, map members in name order.
func (v value) MarshalJSON() ([]byte, error) {
	typ := v.typ
	switch typ {
	case "S", "N", "B":
		return marshal(map[string]string{typ: v.text()})
	case "SS", "NS", "BS":
		members := make([]string, len(v.list))
		for i, member := range v.list {
			members[i] = member.text()
		}
		return marshal(map[string][]string{typ: members})
	case "L":
		return marshal(map[string][]value{typ: append([]value{}, v.list...)})
	case "M":
		return marshal(map[string]map[string]value{typ: v.m})
	}
	return marshal(map[string]bool{typ: v.bool})
}

// text is a scalar's JSON string.
func (v value) text() string {
	switch v.typ {
	case "N":
		return v.num.String()
	case "B":
		return base64.StdEncoding.EncodeToString([]byte(v.str))
	}
	return v.str
}

// size is the value's size in bytes by the rules of the Developer Guide, "Item
// sizes and formats".
func (v value) size() int {
	switch v.typ {
	case "S", "B":
		return len(v.str)
	case "N":
		return v.num.size()
	case "L", "M":
		size := 3
		for _, member := range v.list {
			size += member.size() + 1
		}
		for name, member := range v.m {
			size += len(name) + member.size() + 1
		}
		return size
	case "SS", "NS", "BS":
		size := 0
		for _, member := range v.list {
			size += member.size()
		}
		return size
	}
	return 1
}

// size is the item's size in bytes: its names and its values.
func (it item) size() int {
	size := 0
	for name, v := range it {
		size += len(name) + v.size()
	}
	return size
}

// describe writes a value as error messages show it.
func (v value) describe() string { return "AttributeValue: {" + v.typ + ":" + v.text() + "}" }

// nameList writes names as error messages show them.
func nameList[V any](m map[string]V) string {
	return "{" + strings.Join(slices.Sorted(maps.Keys(m)), ", ") + "}"
}
