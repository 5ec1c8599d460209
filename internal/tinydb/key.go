package tinydb

import (
	"encoding/binary"
	"hash/fnv"
)

// Key size limits in bytes (Developer Guide, "Limits").
const (
	maxHashKey  = 2048
	maxRangeKey = 1024
)

// keyAttr is one attribute of a primary key.
type keyAttr struct {
	name, typ string
}

// schema is a table's primary key; rng.name is empty for a hash-only table.
type schema struct {
	hash, rng keyAttr
}

func (s schema) attrs() []keyAttr {
	if s.rng.name == "" {
		return []keyAttr{s.hash}
	}
	return []keyAttr{s.hash, s.rng}
}

// partition gives the bytes all keys with this hash value begin with. A hash comes
// first so that Scan's order looks as arbitrary as the service's; the length keeps
// one hash value from being the beginning of another.
func partition(hash value) string {
	content := hash.order()
	h := fnv.New64a()
	_, _ = h.Write([]byte(content)) // a hash.Hash never fails
	key := h.Sum(nil)
	key = binary.BigEndian.AppendUint16(key, uint16(len(content)))
	return string(key) + content
}

// encode gives the key's bytes; within a partition they sort by the range value.
func (s schema) encode(it item) string {
	key := partition(it[s.hash.name])
	if s.rng.name != "" {
		key += it[s.rng.name].order()
	}
	return key
}

// ofItem checks the key attributes of an item to be put and gives its key's bytes.
func (s schema) ofItem(it item) (string, error) {
	for _, attr := range s.attrs() {
		v, ok := it[attr.name]
		if !ok {
			return "", invalid("One or more parameter values were invalid: Missing the key %s in the item", attr.name)
		}
		if v.typ != attr.typ {
			return "", invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", attr.name, attr.typ, v.typ)
		}
	}
	if err := s.checkSizes(it); err != nil {
		return "", err
	}
	return s.encode(it), nil
}

// ofKey checks a Key parameter, which names the key attributes and nothing else.
func (s schema) ofKey(key item) (string, error) {
	matches := len(key) == len(s.attrs())
	for _, attr := range s.attrs() {
		matches = matches && key[attr.name].typ == attr.typ
	}
	if !matches {
		return "", invalid("The provided key element does not match the schema")
	}
	if err := s.checkSizes(key); err != nil {
		return "", err
	}
	return s.encode(key), nil
}

func (s schema) checkSizes(it item) error {
	for _, attr := range s.attrs() {
		v := it[attr.name]
		if v.typ != "N" && v.str == "" {
			kind := "string"
			if v.typ == "B" {
				kind = "binary"
			}
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, attr.name)
		}
	}
	// The missing blank before the number is the service's own.
	if it[s.hash.name].size() > maxHashKey {
		return invalid("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of%d bytes", maxHashKey)
	}
	if s.rng.name != "" && it[s.rng.name].size() > maxRangeKey {
		return invalid("One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of %d bytes", maxRangeKey)
	}
	return nil
}

// only gives the key attributes of an item, as LastEvaluatedKey has them.
func (s schema) only(it item) item {
	key := item{}
	for _, attr := range s.attrs() {
		key[attr.name] = it[attr.name]
	}
	return key
}
