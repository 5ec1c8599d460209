package tinydb

import (
	"maps"
	"slices"
)

// maxBatch is how many writes one BatchWriteItem may hold, over all its tables.
const maxBatch = 25

type batchWriteItemInput struct {
	RequestItems                map[string][]writeRequest
	ReturnConsumedCapacity      string
	ReturnItemCollectionMetrics string
}

type writeRequest struct {
	PutRequest    *struct{ Item item }
	DeleteRequest *struct{ Key item }
}

type batchWriteItemOutput struct {
	UnprocessedItems map[string]any
	ConsumedCapacity []*consumed `json:",omitempty"`
}

// write is one checked member of a batch; fresh is nil for a delete.
type write struct {
	table *table
	key   string
	fresh *record
}

// batchWriteItem checks the whole batch first: a refused batch has written nothing.
func (db *DB) batchWriteItem(in *batchWriteItemInput) (batchWriteItemOutput, error) {
	var out batchWriteItemOutput
	if err := checkCapacity(&in.ReturnConsumedCapacity); err != nil {
		return out, err
	}
	if err := checkMetrics(in.ReturnItemCollectionMetrics); err != nil {
		return out, err
	}
	if len(in.RequestItems) == 0 {
		return out, invalid("1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	total := 0
	for name, requests := range in.RequestItems {
		if len(requests) == 0 {
			return out, invalid("1 validation error detected: Value '{%s=[]}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1", name)
		}
		total += len(requests)
	}
	if total > maxBatch {
		return out, invalid("Too many items requested for the BatchWriteItem call")
	}

	db.mu.Lock()
	defer db.mu.Unlock()
	var writes []write
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		t, err := db.table(&name)
		if err != nil {
			return out, err
		}
		seen := map[string]bool{}
		for _, request := range in.RequestItems[name] {
			w, err := t.check(request)
			if err != nil {
				return out, err
			}
			if seen[w.key] {
				return out, invalid("Provided list of item keys contains duplicates")
			}
			seen[w.key] = true
			writes = append(writes, w)
		}
	}

	out.UnprocessedItems = map[string]any{}
	units := map[string]float64{}
	for _, w := range writes {
		units[w.table.name] += w.apply()
	}
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if c := consumedBy(in.ReturnConsumedCapacity, name, units[name]); c != nil {
			out.ConsumedCapacity = append(out.ConsumedCapacity, c)
		}
	}
	return out, nil
}

func (t *table) check(request writeRequest) (write, error) {
	put, del := request.PutRequest, request.DeleteRequest
	switch {
	case put != nil && del != nil:
		return write{}, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	case put != nil:
		fresh, err := t.newRecord(put.Item)
		if err != nil {
			return write{}, err
		}
		return write{t, fresh.key, fresh}, nil
	case del != nil:
		key, err := t.schema.ofKey(del.Key)
		return write{t, key, nil}, err
	}
	return write{}, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

// apply does the write and gives its cost in write units.
func (w write) apply() float64 {
	size := 0
	if old := w.table.get(w.key); old != nil {
		size = old.size
	}
	if w.fresh == nil {
		w.table.delete(w.key)
		return writeUnits(size)
	}
	w.table.put(w.fresh)
	return writeUnits(max(size, w.fresh.size))
}
