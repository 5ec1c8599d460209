package tinydb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

type page struct {
	Items            []map[string]map[string]any
	Count            int
	ScannedCount     int
	LastEvaluatedKey json.RawMessage
}

// years sends a Query or Scan and lists the Year of each item.
func years(t *testing.T, db *DB, op, body string) ([]string, page) {
	t.Helper()
	var p page
	answer := do(t, db, op, body)
	if err := json.Unmarshal([]byte(answer), &p); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(answer, "__type") {
		t.Fatalf("%s %s: %s", op, body, answer)
	}
	var all []string
	for _, it := range p.Items {
		all = append(all, fmt.Sprint(it["Year"]["N"]))
	}
	return all, p
}

func TestQuerySelectsByRangeKeyInNumericOrder(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	for _, year := range []string{"10", "9", "-1", "-1.5", "0", "100", "9.5"} {
		put(t, db, `{"Artist":{"S":"a"},"Year":{"N":"`+year+`"}}`)
		put(t, db, `{"Artist":{"S":"ab"},"Year":{"N":"`+year+`"}}`)
	}
	for _, c := range []struct{ condition, values, want string }{
		{"", "", "-1.5 -1 0 9 9.5 10 100"},
		{" AND #y = :y", `,":y":{"N":"9.50"}`, "9.5"},
		{" AND #y < :y", `,":y":{"N":"9"}`, "-1.5 -1 0"},
		{" AND #y <= :y", `,":y":{"N":"9"}`, "-1.5 -1 0 9"},
		{" AND #y > :y", `,":y":{"N":"9.4"}`, "9.5 10 100"},
		{" AND #y > :y", `,":y":{"N":"9.5"}`, "10 100"},
		{" AND (#y >= :y)", `,":y":{"N":"10"}`, "10 100"},
		{" AND #y BETWEEN :y AND :z", `,":y":{"N":"-1"},":z":{"N":"9.5"}`, "-1 0 9 9.5"},
		{" AND #y = :y", `,":y":{"N":"3"}`, ""},
	} {
		names := ""
		if c.condition != "" {
			names = `,"ExpressionAttributeNames":{"#y":"Year"}`
		}
		body := `{"TableName":"music","KeyConditionExpression":"Artist = :a` + c.condition + `","ExpressionAttributeValues":{":a":{"S":"a"}` + c.values + `}` + names
		got, _ := years(t, db, "Query", body+`}`)
		if strings.Join(got, " ") != c.want {
			t.Errorf("Artist = :a%s: years %v, want %s", c.condition, got, c.want)
		}
		back, _ := years(t, db, "Query", body+`,"ScanIndexForward":false}`)
		slices.Reverse(back)
		if strings.Join(back, " ") != c.want {
			t.Errorf("Artist = :a%s backward: reversed years %v, want %s", c.condition, back, c.want)
		}
	}
}

func TestQuerySelectsByBeginningOfAString(t *testing.T) {
	t.Parallel()
	db := &DB{}
	do(t, db, "CreateTable", `{"TableName":"files","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1},
		"AttributeDefinitions":[{"AttributeName":"h","AttributeType":"N"},{"AttributeName":"r","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"h","KeyType":"HASH"},{"AttributeName":"r","KeyType":"RANGE"}]}`)
	for _, r := range []string{"a", "ab", "abc", "b", "ac"} {
		expect(t, db, "PutItem", `{"TableName":"files","Item":{"h":{"N":"1.0"},"r":{"S":"`+r+`"}}}`, `{}`)
	}
	expect(t, db, "Query", `{"TableName":"files","KeyConditionExpression":"h = :h AND begins_with(r, :r)","ProjectionExpression":"r","ExpressionAttributeValues":{":h":{"N":"1"},":r":{"S":"ab"}}}`,
		`{"Items":[{"r":{"S":"ab"}},{"r":{"S":"abc"}}],"Count":2,"ScannedCount":2}`)
}

func TestKeyConditionsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	for condition, want := range map[string]string{
		"Artist > :a":                                "Query key condition not supported",
		"Year = :n":                                  "Query condition missed key schema element: Artist",
		"Artist = :a AND Label = :n":                 "Query condition missed key schema element: Year",
		"Artist = :a OR Year = :n":                   "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: OR",
		"Artist = :a AND NOT Year = :n":              "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: NOT",
		"Artist = :a AND Year <> :n":                 "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: <>",
		"Artist = :a AND contains(Year, :n)":         "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: contains",
		"Artist = :a AND attribute_exists(Year)":     "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: attribute_exists",
		"Artist = :a AND Year > :n AND Year < :n":    "Conditions can be of length 1 or 2 only",
		"Artist = :a AND Artist = :a":                "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key",
		"Artist = :n":                                "One or more parameter values were invalid: Condition parameter type does not match schema type",
		"Artist = :a AND Year BETWEEN :n AND :m":     "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
		"Artist = Year":                              "Invalid KeyConditionExpression: Invalid condition in KeyConditionExpression: an attribute must be compared to a value, in this order",
		"Artist = :a AND Year BETWEEN :n AND Artist": "Invalid KeyConditionExpression: Invalid condition in KeyConditionExpression: an attribute must be compared to a value, in this order",
		"Artist = :a AND begins_with(Year, :a)":      "One or more parameter values were invalid: Condition parameter type does not match schema type",
	} {
		values := map[string]any{}
		for name, v := range map[string]any{":a": map[string]string{"S": "x"}, ":n": map[string]string{"N": "2"}, ":m": map[string]string{"N": "1"}} {
			if strings.Contains(condition, name) {
				values[name] = v
			}
		}
		in := map[string]any{"TableName": "music", "KeyConditionExpression": condition}
		if len(values) > 0 {
			in["ExpressionAttributeValues"] = values
		}
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, db, "Query", string(body), refused(want))
	}
}

// fill puts n items of a given payload length into several partitions.
func fill(t *testing.T, db *DB, n, payload int) {
	t.Helper()
	for i := range n {
		put(t, db, fmt.Sprintf(`{"Artist":{"S":"p%d"},"Year":{"N":"%d"},"odd":{"BOOL":%v},"x":{"S":"%s"}}`, i%3, i, i%2 == 1, strings.Repeat("x", payload)))
	}
}

// drain follows LastEvaluatedKey to the end and gives all years and the page count.
func drain(t *testing.T, db *DB, op, body string) (all []string, pages int) {
	t.Helper()
	next := ""
	for {
		got, p := years(t, db, op, body+next+`}`)
		all, pages = append(all, got...), pages+1
		if p.LastEvaluatedKey == nil {
			return all, pages
		}
		next = `,"ExclusiveStartKey":` + string(p.LastEvaluatedKey)
	}
}

func TestScanPagesMeetEveryItemOnce(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	fill(t, db, 20, 0)
	for limit, wantPages := range map[int]int{1: 21, 3: 7, 20: 2, 21: 1} {
		got, pages := drain(t, db, "Scan", fmt.Sprintf(`{"TableName":"music","Limit":%d`, limit))
		slices.Sort(got)
		if len(slices.Compact(got)) != 20 || pages != wantPages {
			t.Errorf("limit %d: %d different items in %d pages, want 20 in %d", limit, len(got), pages, wantPages)
		}
	}
}

func TestQueryPagesBackward(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	fill(t, db, 12, 0)
	got, pages := drain(t, db, "Query", `{"TableName":"music","KeyConditionExpression":"Artist=:a","ExpressionAttributeValues":{":a":{"S":"p1"}},"ScanIndexForward":false,"Limit":3`)
	if want := "10 7 4 1"; strings.Join(got, " ") != want || pages != 2 {
		t.Errorf("years %v in %d pages, want %s in 2", got, pages, want)
	}
}

func TestPageEndsBeforeOneMegabyte(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	fill(t, db, 5, 300<<10)
	_, p := years(t, db, "Scan", `{"TableName":"music"}`)
	if p.Count != 3 || p.LastEvaluatedKey == nil {
		t.Errorf("first page has %d items of 300 KB, LastEvaluatedKey %s, want 3 and a key", p.Count, p.LastEvaluatedKey)
	}
	// The filter comes after the limit: the page reads as much, and shows less.
	_, p = years(t, db, "Scan", `{"TableName":"music","FilterExpression":"odd = :t","ExpressionAttributeValues":{":t":{"BOOL":true}}}`)
	if p.ScannedCount != 3 || p.Count >= 3 {
		t.Errorf("filtered page scanned %d and kept %d, want 3 and fewer", p.ScannedCount, p.Count)
	}
	got, pages := drain(t, db, "Scan", `{"TableName":"music"`)
	if len(got) != 5 || pages != 2 {
		t.Errorf("%d items in %d pages, want 5 in 2", len(got), pages)
	}
}

func TestSelectCountSendsNoItems(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	fill(t, db, 6, 0)
	expect(t, db, "Scan", `{"TableName":"music","Select":"COUNT","FilterExpression":"odd = :t","ExpressionAttributeValues":{":t":{"BOOL":true}},"ReturnConsumedCapacity":"INDEXES"}`,
		`{"Count":3,"ScannedCount":6,"ConsumedCapacity":{"TableName":"music","CapacityUnits":0.5,"Table":{"CapacityUnits":0.5}}}`)
}

func TestStartKeyMustFitTheQuery(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	query := `{"TableName":"music","KeyConditionExpression":"Artist=:a","ExpressionAttributeValues":{":a":{"S":"p1"}},"ExclusiveStartKey":`
	expect(t, db, "Query", query+`{"Artist":{"S":"p2"},"Year":{"N":"1"}}}`, refused("The provided starting key is outside query boundaries based on provided conditions"))
	expect(t, db, "Query", query+`{"Artist":{"S":"p1"}}}`, refused("The provided starting key is invalid: The provided key element does not match the schema"))
}
