package tinydb

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// do sends one operation over HTTP and gives the answer's body.
func do(t testing.TB, db *DB, op, body string) string {
	t.Helper()
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	w := httptest.NewRecorder()
	db.ServeHTTP(w, r)
	out, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// expect sends one operation and compares the whole answer, as JSON.
func expect(t testing.TB, db *DB, op, body, want string) {
	t.Helper()
	got := do(t, db, op, body)
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s %s: answer %q: %v", op, body, got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("want %q: %v", want, err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s %s\n got %s\nwant %s", op, body, got, want)
	}
}

// refused is a ValidationException's body.
func refused(msg string) string {
	out, _ := marshal(map[string]string{"__type": typeValidation, "message": msg})
	return string(out)
}

// withTable gives a database with table "music": hash key Artist, range key Year.
func withTable(t testing.TB) *DB {
	t.Helper()
	db := &DB{}
	out := do(t, db, "CreateTable", `{"TableName":"music","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"Artist","AttributeType":"S"},{"AttributeName":"Year","AttributeType":"N"}],
		"KeySchema":[{"AttributeName":"Artist","KeyType":"HASH"},{"AttributeName":"Year","KeyType":"RANGE"}]}`)
	if !strings.Contains(out, `"TableStatus":"ACTIVE"`) {
		t.Fatalf("CreateTable: %s", out)
	}
	return db
}

func put(t testing.TB, db *DB, item string) {
	t.Helper()
	expect(t, db, "PutItem", `{"TableName":"music","Item":`+item+`}`, `{}`)
}

func TestTutorialRunsFromCreateToDelete(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	expect(t, db, "ListTables", `{}`, `{"TableNames":["music"]}`)
	put(t, db, `{"Artist":{"S":"Acme Band"},"Year":{"N":"1.990e3"},"Title":{"S":"Happy <Day> & Night"}}`)
	expect(t, db, "GetItem", `{"TableName":"music","Key":{"Artist":{"S":"Acme Band"},"Year":{"N":"1990.0"}},"ConsistentRead":true}`,
		`{"Item":{"Artist":{"S":"Acme Band"},"Year":{"N":"1990"},"Title":{"S":"Happy <Day> & Night"}}}`)
	expect(t, db, "GetItem", `{"TableName":"music","Key":{"Artist":{"S":"Acme Band"},"Year":{"N":"1991"}}}`, `{}`)
	expect(t, db, "GetItem", `{"TableName":"music","Key":{"Artist":{"S":"Acme Band"},"Year":{"N":"1990"}},"ProjectionExpression":"#t, Missing","ExpressionAttributeNames":{"#t":"Title"}}`,
		`{"Item":{"Title":{"S":"Happy <Day> & Night"}}}`)
	expect(t, db, "PutItem", `{"TableName":"music","Item":{"Artist":{"S":"Acme Band"},"Year":{"N":"1990"}},"ReturnValues":"ALL_OLD","ReturnConsumedCapacity":"TOTAL"}`,
		`{"Attributes":{"Artist":{"S":"Acme Band"},"Year":{"N":"1990"},"Title":{"S":"Happy <Day> & Night"}},"ConsumedCapacity":{"TableName":"music","CapacityUnits":1}}`)
	expect(t, db, "DeleteItem", `{"TableName":"music","Key":{"Artist":{"S":"Acme Band"},"Year":{"N":"1990"}},"ReturnValues":"ALL_OLD"}`,
		`{"Attributes":{"Artist":{"S":"Acme Band"},"Year":{"N":"1990"}}}`)
	expect(t, db, "DeleteItem", `{"TableName":"music","Key":{"Artist":{"S":"Acme Band"},"Year":{"N":"1990"}},"ReturnValues":"ALL_OLD"}`, `{}`)
	expect(t, db, "Scan", `{"TableName":"music"}`, `{"Count":0,"ScannedCount":0,"Items":[]}`)
	if out := do(t, db, "DeleteTable", `{"TableName":"music"}`); !strings.Contains(out, `"TableStatus":"DELETING"`) {
		t.Errorf("DeleteTable: %s", out)
	}
	expect(t, db, "ListTables", `{}`, `{"TableNames":[]}`)
}

func TestDescribeTableAnswersAllThatACLIShows(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	db.Region, db.Account = "ap-northeast-2", "210987654321"
	put(t, db, `{"Artist":{"S":"a"},"Year":{"N":"1"}}`)
	var out struct{ Table map[string]any }
	if err := json.Unmarshal([]byte(do(t, db, "DescribeTable", `{"TableName":"music"}`)), &out); err != nil {
		t.Fatal(err)
	}
	created, ok := out.Table["CreationDateTime"].(float64)
	if !ok || created < 1.7e9 {
		t.Errorf("CreationDateTime = %v, want seconds as a number", out.Table["CreationDateTime"])
	}
	if id, _ := out.Table["TableId"].(string); len(id) != 36 {
		t.Errorf("TableId = %q, want a UUID", id)
	}
	for _, varies := range []string{"CreationDateTime", "TableId", "BillingModeSummary"} {
		delete(out.Table, varies)
	}
	want := map[string]any{
		"TableName": "music", "TableStatus": "ACTIVE", "ItemCount": 1.0, "TableSizeBytes": 13.0, "DeletionProtectionEnabled": false,
		"TableArn":              "arn:aws:dynamodb:ap-northeast-2:210987654321:table/music",
		"TableClassSummary":     map[string]any{"TableClass": "STANDARD"},
		"ProvisionedThroughput": map[string]any{"NumberOfDecreasesToday": 0.0, "ReadCapacityUnits": 0.0, "WriteCapacityUnits": 0.0},
		"KeySchema": []any{
			map[string]any{"AttributeName": "Artist", "KeyType": "HASH"},
			map[string]any{"AttributeName": "Year", "KeyType": "RANGE"},
		},
		"AttributeDefinitions": []any{
			map[string]any{"AttributeName": "Artist", "AttributeType": "S"},
			map[string]any{"AttributeName": "Year", "AttributeType": "N"},
		},
	}
	if !reflect.DeepEqual(out.Table, want) {
		t.Errorf("Table\n got %v\nwant %v", out.Table, want)
	}
}

func TestTableSizeFollowsReplacedAndDeletedItems(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	size := func() string {
		_, after, _ := strings.Cut(do(t, db, "DescribeTable", `{"TableName":"music"}`), `"TableSizeBytes":`)
		digits, _, _ := strings.Cut(after, ",")
		return digits
	}
	put(t, db, `{"Artist":{"S":"a"},"Year":{"N":"1"},"x":{"S":"long enough"}}`)
	put(t, db, `{"Artist":{"S":"a"},"Year":{"N":"1"}}`)
	if got := size(); got != "13" {
		t.Errorf("size after replacing = %s, want 13", got)
	}
	do(t, db, "DeleteItem", `{"TableName":"music","Key":{"Artist":{"S":"a"},"Year":{"N":"1"}}}`)
	if got := size(); !strings.HasPrefix(got, "0") {
		t.Errorf("size after deleting = %s, want 0", got)
	}
}

func TestAnswersHaveNoHTMLEscapes(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	it := `{"Artist":{"S":"<a> & b"},"Year":{"N":"1"},"m":{"M":{"<":{"L":[{"S":">"}]}}}}`
	put(t, db, it)
	if got, want := do(t, db, "Scan", `{"TableName":"music"}`), `{"Items":[`+it+`],"Count":1,"ScannedCount":1}`; got != want {
		t.Errorf("answer %s, want %s", got, want)
	}
}

func TestListTablesPages(t *testing.T) {
	t.Parallel()
	db := &DB{}
	for i := range 5 {
		do(t, db, "CreateTable", fmt.Sprintf(`{"TableName":"table%d","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}`, i))
	}
	expect(t, db, "ListTables", `{"Limit":2}`, `{"TableNames":["table0","table1"],"LastEvaluatedTableName":"table1"}`)
	expect(t, db, "ListTables", `{"Limit":3,"ExclusiveStartTableName":"table1"}`, `{"TableNames":["table2","table3","table4"]}`)
	expect(t, db, "ListTables", `{"ExclusiveStartTableName":"table2a"}`, `{"TableNames":["table3","table4"]}`)
	expect(t, db, "ListTables", `{"Limit":0}`, refused("1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value between 1 and 100"))
}

func TestConditionsGuardWrites(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	const conditional = `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed"}`
	guarded := `{"TableName":"music","Item":{"Artist":{"S":"a"},"Year":{"N":"1"},"v":{"N":"2"}},"ConditionExpression":"attribute_not_exists(Artist)"}`
	expect(t, db, "PutItem", guarded, `{}`)
	expect(t, db, "PutItem", guarded, conditional)
	expect(t, db, "PutItem", strings.TrimSuffix(guarded, "}")+`,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`,
		strings.TrimSuffix(conditional, "}")+`,"Item":{"Artist":{"S":"a"},"Year":{"N":"1"},"v":{"N":"2"}}}`)
	del := `{"TableName":"music","Key":{"Artist":{"S":"a"},"Year":{"N":"1"}},"ConditionExpression":"v > :v","ExpressionAttributeValues":{":v":{"N":"%s"}}}`
	expect(t, db, "DeleteItem", fmt.Sprintf(del, "2"), conditional)
	expect(t, db, "DeleteItem", fmt.Sprintf(del, "1.5"), `{}`)
	expect(t, db, "DeleteItem", fmt.Sprintf(del, "1.5"), conditional)
}

func TestBatchWritesAllOrNothing(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	put(t, db, `{"Artist":{"S":"old"},"Year":{"N":"1"}}`)
	expect(t, db, "BatchWriteItem", `{"RequestItems":{"music":[
		{"PutRequest":{"Item":{"Artist":{"S":"a"},"Year":{"N":"1"}}}},
		{"DeleteRequest":{"Key":{"Artist":{"S":"old"},"Year":{"N":"1"}}}}]},"ReturnConsumedCapacity":"TOTAL"}`,
		`{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"music","CapacityUnits":2}]}`)
	expect(t, db, "BatchWriteItem", `{"RequestItems":{"music":[
		{"PutRequest":{"Item":{"Artist":{"S":"b"},"Year":{"N":"1"}}}},
		{"DeleteRequest":{"Key":{"Artist":{"S":"b"},"Year":{"N":"1.0"}}}}]}}`, refused("Provided list of item keys contains duplicates"))
	many := strings.Repeat(`{"PutRequest":{"Item":{"Artist":{"S":"c"},"Year":{"N":"1"}}}},`, 26)
	expect(t, db, "BatchWriteItem", `{"RequestItems":{"music":[`+strings.TrimSuffix(many, ",")+`]}}`, refused("Too many items requested for the BatchWriteItem call"))
	expect(t, db, "BatchWriteItem", `{"RequestItems":{"music":[{"PutRequest":{"Item":{"Artist":{"S":"d"},"Year":{"N":"1"}}}}],"nowhere":[{"DeleteRequest":{"Key":{"pk":{"S":"x"}}}}]}}`,
		`{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}`)
	expect(t, db, "Scan", `{"TableName":"music"}`, `{"Count":1,"ScannedCount":1,"Items":[{"Artist":{"S":"a"},"Year":{"N":"1"}}]}`)
}

func TestRefusalsSayWhatDynamoDBSays(t *testing.T) {
	t.Parallel()
	const table = `"TableName":"music"`
	const key = `"Key":{"Artist":{"S":"a"},"Year":{"N":"1"}}`
	exact := func(typ, msg string) string {
		out, _ := marshal(map[string]string{"__type": typ, "message": msg})
		return string(out)
	}
	for _, c := range []struct{ name, op, body, want string }{
		{"unknown operation", "UpdateItem", `{}`, exact(typeUnknownOperation, `tinydb: operation "UpdateItem" is not implemented`)},
		{"body is not JSON", "ListTables", `{`, `{"__type":"com.amazon.coral.service#SerializationException"}`},
		{"wrong JSON type", "GetItem", `{"TableName":7}`, exact(typeSerialization, "NUMBER_VALUE cannot be converted to String")},
		{"parameter not implemented", "Query", `{` + table + `,"KeyConditions":{}}`, refused("tinydb: parameter KeyConditions of Query is not implemented")},
		{"index not implemented", "CreateTable", `{` + table + `,"GlobalSecondaryIndexes":[]}`, refused("tinydb: parameter GlobalSecondaryIndexes of CreateTable is not implemented")},
		{"table missing for item operations", "GetItem", `{"TableName":"nowhere",` + key + `}`, exact(typeNotFound, "Requested resource not found")},
		{"table missing for DescribeTable", "DescribeTable", `{"TableName":"nowhere"}`, exact(typeNotFound, "Requested resource not found: Table: nowhere not found")},
		{"table missing for DeleteTable", "DeleteTable", `{"TableName":"nowhere"}`, exact(typeNotFound, "Requested resource not found: Table: nowhere not found")},
		{"table there already", "CreateTable", `{` + table + `,"BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}`, exact(typeInUse, "Table already exists: music")},
		{"no throughput", "CreateTable", `{"TableName":"abc","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}`, refused("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")},
		{"unknown table class", "CreateTable", `{"TableName":"abc","TableClass":"GOLD","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}`, refused("1 validation error detected: Value 'GOLD' at 'tableClass' failed to satisfy constraint: Member must satisfy enum value set: [STANDARD, STANDARD_INFREQUENT_ACCESS]")},
		{"no table name", "DescribeTable", `{}`, refused("1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null")},
		{"table name with a slash", "DescribeTable", `{"TableName":"a/bc"}`, refused("1 validation error detected: Value 'a/bc' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")},
		{"key of another shape", "GetItem", `{` + table + `,"Key":{"Artist":{"S":"a"}}}`, refused("The provided key element does not match the schema")},
		{"item without its range key", "PutItem", `{` + table + `,"Item":{"Artist":{"S":"a"}}}`, refused("One or more parameter values were invalid: Missing the key Year in the item")},
		{"item with a key of another type", "PutItem", `{` + table + `,"Item":{"Artist":{"N":"1"},"Year":{"N":"1"}}}`, refused("One or more parameter values were invalid: Type mismatch for key Artist expected: S actual: N")},
		{"empty key", "PutItem", `{` + table + `,"Item":{"Artist":{"S":""},"Year":{"N":"1"}}}`, refused("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: Artist")},
		{"item over 400 KB", "PutItem", `{` + table + `,"Item":{"Artist":{"S":"a"},"Year":{"N":"1"},"x":{"S":"` + strings.Repeat("x", 400<<10) + `"}}}`, refused("Item size has exceeded the maximum allowed size")},
		{"two types in one value", "PutItem", `{` + table + `,"Item":{"Artist":{"S":"a","N":"1"}}}`, refused("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")},
		{"not a number", "PutItem", `{` + table + `,"Item":{"x":{"N":"ten"}}}`, refused("The parameter cannot be converted to a numeric value: ten")},
		{"39 digits", "PutItem", `{` + table + `,"Item":{"x":{"N":"` + strings.Repeat("1", 39) + `"}}}`, refused("Attempting to store more than 38 significant digits in a Number")},
		{"filter on a key", "Query", `{` + table + `,"KeyConditionExpression":"Artist=:a","FilterExpression":"Year=:y","ExpressionAttributeValues":{":a":{"S":"a"},":y":{"N":"1"}}}`, refused("Filter Expression can only contain non-primary key attributes: Primary key attribute: Year")},
		{"query without key condition", "Query", `{` + table + `}`, refused("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")},
		{"unused value", "Scan", `{` + table + `,"FilterExpression":"x=:a","ExpressionAttributeValues":{":a":{"S":"a"},":b":{"S":"b"}}}`, refused("Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}")},
		{"values without expression", "Scan", `{` + table + `,"ExpressionAttributeValues":{":a":{"S":"a"}}}`, refused("ExpressionAttributeValues can only be specified when using expressions")},
		{"undefined name", "Scan", `{` + table + `,"FilterExpression":"attribute_exists(#x)"}`, refused("Invalid FilterExpression: An expression attribute name used in the document path is not defined; attribute name: #x")},
		{"undefined value", "DeleteItem", `{` + table + `,` + key + `,"ConditionExpression":"x=:x"}`, refused("Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :x")},
		{"ReturnValues of UpdateItem", "PutItem", `{` + table + `,"Item":{},"ReturnValues":"ALL_NEW"}`, refused("ReturnValues can only be ALL_OLD or NONE")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			expect(t, withTable(t), c.op, c.body, c.want)
		})
	}
}
