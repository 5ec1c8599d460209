package tinydb

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"time"
)

// maxItem is an item's size limit in bytes (Developer Guide, "Limits").
const maxItem = 400 << 10

// record is a stored item. Records are never changed, only replaced, so a page of
// them may be encoded after the lock is gone.
type record struct {
	key   string
	attrs item
	size  int             // bytes, by DynamoDB's counting
	json  json.RawMessage // the encoded attributes, made once
}

// table is one table. Its records are one slice sorted by key: a partition is a run
// of it, a Query a part of that run, a Scan the whole.
type table struct {
	name    string
	id      string
	class   string // storage class, only shown
	schema  schema
	created time.Time
	// onDemand is billing mode PAY_PER_REQUEST; otherwise the units are what
	// CreateTable was given. Nothing is throttled by them.
	onDemand              bool
	readUnits, writeUnits int64

	records []*record
	bytes   int
}

// find gives the place of key and whether a record is there.
func (t *table) find(key string) (int, bool) {
	return slices.BinarySearchFunc(t.records, key, func(r *record, key string) int { return strings.Compare(r.key, key) })
}

func (t *table) get(key string) *record {
	if i, ok := t.find(key); ok {
		return t.records[i]
	}
	return nil
}

func (t *table) put(r *record) {
	i, ok := t.find(r.key)
	if ok {
		t.bytes -= t.records[i].size
		t.records[i] = r
	} else {
		t.records = slices.Insert(t.records, i, r)
	}
	t.bytes += r.size
}

func (t *table) delete(key string) {
	if i, ok := t.find(key); ok {
		t.bytes -= t.records[i].size
		t.records = slices.Delete(t.records, i, i+1)
	}
}

// span is a run of table.records, from lo up to but not including hi.
type span struct{ lo, hi int }

// before gives the first place whose key is not below key, after the first above it.
func (t *table) before(key string) int {
	i, _ := t.find(key)
	return i
}

func (t *table) after(key string) int {
	i, found := t.find(key)
	if found {
		i++
	}
	return i
}

// withPrefix gives the run of records whose keys begin with prefix.
func (t *table) withPrefix(prefix string) span {
	lo := t.before(prefix)
	n := sort.Search(len(t.records)-lo, func(i int) bool { return !strings.HasPrefix(t.records[lo+i].key, prefix) })
	return span{lo, lo + n}
}

// newRecord checks an item against the table's key and the item size limit.
func (t *table) newRecord(it item) (*record, error) {
	key, err := t.schema.ofItem(it)
	if err != nil {
		return nil, err
	}
	size := it.size()
	if size > maxItem {
		return nil, invalid("Item size has exceeded the maximum allowed size")
	}
	encoded, err := marshal(it)
	if err != nil {
		return nil, err
	}
	return &record{key: key, attrs: it, size: size, json: encoded}, nil
}

// table looks a table up; the caller holds db.mu.
func (db *DB) table(name *string) (*table, error) {
	if err := checkTableName(name); err != nil {
		return nil, err
	}
	t := db.tables[*name]
	if t == nil {
		return nil, notFound("Requested resource not found")
	}
	return t, nil
}
