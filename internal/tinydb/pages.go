package tinydb

import (
	"encoding/json"
	"slices"
	"strings"
)

// maxPage is how many bytes of items one page evaluates (Developer Guide, "Limits").
const maxPage = 1 << 20

// pageInput are the parameters Query and Scan share.
type pageInput struct {
	TableName                 *string
	Limit                     *int
	ExclusiveStartKey         item
	FilterExpression          *string
	ProjectionExpression      *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]value
	Select                    string
	ConsistentRead            bool
	ReturnConsumedCapacity    string
}

type scanInput struct{ pageInput }

type queryInput struct {
	pageInput
	KeyConditionExpression *string
	ScanIndexForward       *bool
}

type pageOutput struct {
	Items            *[]json.RawMessage `json:",omitempty"` // nil for Select COUNT
	Count            int
	ScannedCount     int
	LastEvaluatedKey item      `json:",omitempty"`
	ConsumedCapacity *consumed `json:",omitempty"`
}

// plan is a checked request for a page.
type plan struct {
	*pageInput
	filter     node
	projection []string
	backward   bool
}

func (db *DB) scan(in *scanInput) (pageOutput, error) {
	e := expressions{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues}
	p, err := in.plan(&e)
	if err != nil {
		return pageOutput{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	t, err := db.table(in.TableName)
	if err != nil {
		return pageOutput{}, err
	}
	return t.page(p, span{0, len(t.records)}, "")
}

func (db *DB) query(in *queryInput) (pageOutput, error) {
	if in.KeyConditionExpression == nil {
		return pageOutput{}, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	e := expressions{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues}
	key := e.condition("KeyConditionExpression", in.KeyConditionExpression)
	p, err := in.plan(&e)
	if err != nil {
		return pageOutput{}, err
	}
	p.backward = in.ScanIndexForward != nil && !*in.ScanIndexForward
	db.mu.RLock()
	defer db.mu.RUnlock()
	t, err := db.table(in.TableName)
	if err != nil {
		return pageOutput{}, err
	}
	condition, err := newKeyCondition(t.schema, key)
	if err != nil {
		return pageOutput{}, err
	}
	if err := t.schema.mayFilter(p.filter); err != nil {
		return pageOutput{}, err
	}
	return t.page(p, t.span(condition), partition(condition.hash))
}

// plan checks all that needs no table, and that all placeholders are used.
func (in *pageInput) plan(e *expressions) (plan, error) {
	p := plan{pageInput: in}
	p.filter = e.condition("FilterExpression", in.FilterExpression)
	p.projection = e.projection(in.ProjectionExpression)
	if err := e.finish(); err != nil {
		return p, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return p, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit)
	}
	if err := checkCapacity(&in.ReturnConsumedCapacity); err != nil {
		return p, err
	}
	if in.Select == "" && p.projection != nil {
		in.Select = "SPECIFIC_ATTRIBUTES"
	}
	if err := oneOf("Select", &in.Select, "ALL_ATTRIBUTES", "COUNT", "SPECIFIC_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"); err != nil {
		return p, err
	}
	switch {
	case in.Select == "ALL_PROJECTED_ATTRIBUTES":
		return p, invalid("One or more parameter values were invalid: ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	case in.Select == "SPECIFIC_ATTRIBUTES" && p.projection == nil:
		return p, invalid("One or more parameter values were invalid: Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case in.Select != "SPECIFIC_ATTRIBUTES" && p.projection != nil:
		return p, invalid("One or more parameter values were invalid: Cannot specify the ProjectionExpression when choosing to get %s", in.Select)
	}
	return p, nil
}

// mayFilter refuses a Query's filter on the key, which belongs in the key condition.
func (s schema) mayFilter(filter node) error {
	var err error
	if filter == nil {
		return nil
	}
	walk(filter, func(n node) {
		for _, o := range operands(n) {
			isKey := func(attr keyAttr) bool { return !o.isLiteral() && attr.name == o.attr }
			if err == nil && slices.ContainsFunc(s.attrs(), isKey) {
				err = invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", o.attr)
			}
		}
	})
	return err
}

// page reads one page out of s. A page ends at Limit or before it exceeds 1 MB, both
// counted before the filter; it then has a LastEvaluatedKey, even if, after Limit,
// nothing follows. No item is as large as a page. The start key must begin with within; caller holds db.mu.
func (t *table) page(p plan, s span, within string) (pageOutput, error) {
	var out pageOutput
	items := []json.RawMessage{}
	if p.ExclusiveStartKey != nil {
		key, err := t.schema.ofKey(p.ExclusiveStartKey)
		if err != nil {
			return out, invalid("The provided starting key is invalid: The provided key element does not match the schema")
		}
		if !strings.HasPrefix(key, within) {
			return out, invalid("The provided starting key is outside query boundaries based on provided conditions")
		}
		if p.backward {
			s.hi = min(s.hi, t.before(key))
		} else {
			s.lo = max(s.lo, t.after(key))
		}
	}
	size := 0
	for n := range max(0, s.hi-s.lo) {
		r := t.records[s.lo+n]
		if p.backward {
			r = t.records[s.hi-1-n]
		}
		if size+r.size > maxPage {
			out.LastEvaluatedKey = t.lastKey(p, s, n-1)
			break
		}
		size += r.size
		out.ScannedCount++
		if p.filter == nil || p.filter.eval(r.attrs) {
			out.Count++
			if p.Select != "COUNT" {
				encoded, err := r.project(p.projection)
				if err != nil {
					return out, err
				}
				items = append(items, encoded)
			}
		}
		if p.Limit != nil && out.ScannedCount == *p.Limit {
			out.LastEvaluatedKey = t.lastKey(p, s, n)
			break
		}
	}
	if p.Select != "COUNT" {
		out.Items = &items
	}
	out.ConsumedCapacity = consumedBy(p.ReturnConsumedCapacity, t.name, readUnits(size, p.ConsistentRead))
	return out, nil
}

// lastKey is the key of the nth record of the page's way through s.
func (t *table) lastKey(p plan, s span, n int) item {
	if p.backward {
		return t.schema.only(t.records[s.hi-1-n].attrs)
	}
	return t.schema.only(t.records[s.lo+n].attrs)
}
