package tinydb

import (
	"encoding/json"
	"net/http"
)

// writeOptions are the parameters PutItem and DeleteItem share.
type writeOptions struct {
	TableName                           *string
	ConditionExpression                 *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           map[string]value
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	ReturnConsumedCapacity              string
	ReturnItemCollectionMetrics         string
}

type putItemInput struct {
	writeOptions
	Item item
}

type deleteItemInput struct {
	writeOptions
	Key item
}

type getItemInput struct {
	TableName                *string
	Key                      item
	ConsistentRead           bool
	ProjectionExpression     *string
	ExpressionAttributeNames map[string]string
	ReturnConsumedCapacity   string
}

type writeOutput struct {
	Attributes       json.RawMessage `json:",omitempty"`
	ConsumedCapacity *consumed       `json:",omitempty"`
}

type getItemOutput struct {
	Item             json.RawMessage `json:",omitempty"`
	ConsumedCapacity *consumed       `json:",omitempty"`
}

func (db *DB) putItem(in *putItemInput) (writeOutput, error) {
	if in.Item == nil {
		return writeOutput{}, missing("Item")
	}
	condition, err := in.check()
	if err != nil {
		return writeOutput{}, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	t, err := db.table(in.TableName)
	if err != nil {
		return writeOutput{}, err
	}
	fresh, err := t.newRecord(in.Item)
	if err != nil {
		return writeOutput{}, err
	}
	old := t.get(fresh.key)
	if err := in.mayWrite(condition, old); err != nil {
		return writeOutput{}, err
	}
	t.put(fresh)
	return in.output(t, old, fresh.size), nil
}

func (db *DB) deleteItem(in *deleteItemInput) (writeOutput, error) {
	if in.Key == nil {
		return writeOutput{}, missing("Key")
	}
	condition, err := in.check()
	if err != nil {
		return writeOutput{}, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	t, err := db.table(in.TableName)
	if err != nil {
		return writeOutput{}, err
	}
	key, err := t.schema.ofKey(in.Key)
	if err != nil {
		return writeOutput{}, err
	}
	old := t.get(key)
	if err := in.mayWrite(condition, old); err != nil {
		return writeOutput{}, err
	}
	t.delete(key)
	return in.output(t, old, 0), nil
}

func (db *DB) getItem(in *getItemInput) (getItemOutput, error) {
	if in.Key == nil {
		return getItemOutput{}, missing("Key")
	}
	if err := checkCapacity(&in.ReturnConsumedCapacity); err != nil {
		return getItemOutput{}, err
	}
	e := expressions{names: in.ExpressionAttributeNames}
	projection := e.projection(in.ProjectionExpression)
	if err := e.finish(); err != nil {
		return getItemOutput{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	t, err := db.table(in.TableName)
	if err != nil {
		return getItemOutput{}, err
	}
	key, err := t.schema.ofKey(in.Key)
	if err != nil {
		return getItemOutput{}, err
	}
	var out getItemOutput
	size := 0
	if r := t.get(key); r != nil {
		size = r.size
		if out.Item, err = r.project(projection); err != nil {
			return getItemOutput{}, err
		}
	}
	out.ConsumedCapacity = consumedBy(in.ReturnConsumedCapacity, t.name, readUnits(size, in.ConsistentRead))
	return out, nil
}

// check reads the options that need no table and gives the condition, nil if none.
func (in *writeOptions) check() (node, error) {
	if err := oneOf("ReturnValues", &in.ReturnValues, "NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"); err != nil {
		return nil, err
	}
	if in.ReturnValues != "NONE" && in.ReturnValues != "ALL_OLD" {
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	if err := oneOf("ReturnValuesOnConditionCheckFailure", &in.ReturnValuesOnConditionCheckFailure, "NONE", "ALL_OLD"); err != nil {
		return nil, err
	}
	if err := checkCapacity(&in.ReturnConsumedCapacity); err != nil {
		return nil, err
	}
	if err := checkMetrics(in.ReturnItemCollectionMetrics); err != nil {
		return nil, err
	}
	e := expressions{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues}
	condition := e.condition("ConditionExpression", in.ConditionExpression)
	return condition, e.finish()
}

// mayWrite holds the condition against the item as it is, which may be none.
func (in *writeOptions) mayWrite(condition node, old *record) error {
	var attrs item
	if old != nil {
		attrs = old.attrs
	}
	if condition == nil || condition.eval(attrs) {
		return nil
	}
	e := &apiError{http.StatusBadRequest, typeConditional, "The conditional request failed", nil}
	if in.ReturnValuesOnConditionCheckFailure == "ALL_OLD" && old != nil {
		e.item = old.json
	}
	return e
}

func (in *writeOptions) output(t *table, old *record, newSize int) writeOutput {
	oldSize := 0
	var out writeOutput
	if old != nil {
		oldSize = old.size
		if in.ReturnValues == "ALL_OLD" {
			out.Attributes = old.json
		}
	}
	out.ConsumedCapacity = consumedBy(in.ReturnConsumedCapacity, t.name, writeUnits(max(oldSize, newSize)))
	return out
}

// project gives the item's JSON, reduced to the named attributes; nil means all.
func (r *record) project(names []string) (json.RawMessage, error) {
	if names == nil {
		return r.json, nil
	}
	reduced := item{}
	for _, name := range names {
		if v, ok := r.attrs[name]; ok {
			reduced[name] = v
		}
	}
	return marshal(reduced)
}
