package tinydb

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// maxListed is how many names one ListTables answer holds.
const maxListed = 100

type createTableInput struct {
	TableName             *string
	AttributeDefinitions  []struct{ AttributeName, AttributeType string }
	KeySchema             []struct{ AttributeName, KeyType string }
	BillingMode           string
	TableClass            string
	ProvisionedThroughput *struct {
		ReadCapacityUnits, WriteCapacityUnits int64
	}
}

type tableNameInput struct{ TableName *string }

type listTablesInput struct {
	ExclusiveStartTableName *string
	Limit                   *int
}

type listTablesOutput struct {
	TableNames             []string
	LastEvaluatedTableName string `json:",omitempty"`
}

func (db *DB) createTable(in *createTableInput) (map[string]any, error) {
	if err := checkTableName(in.TableName); err != nil {
		return nil, err
	}
	key, err := in.schema()
	if err != nil {
		return nil, err
	}
	if err := oneOf("BillingMode", &in.BillingMode, "PROVISIONED", "PAY_PER_REQUEST"); err != nil {
		return nil, err
	}
	if err := oneOf("TableClass", &in.TableClass, "STANDARD", "STANDARD_INFREQUENT_ACCESS"); err != nil {
		return nil, err
	}
	t := &table{name: *in.TableName, class: in.TableClass, id: newUUID(), schema: key, created: time.Now()}
	throughput := in.ProvisionedThroughput
	switch {
	case in.BillingMode == "PAY_PER_REQUEST" && throughput != nil:
		return nil, invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case in.BillingMode == "PAY_PER_REQUEST":
		t.onDemand = true
	case throughput == nil || throughput.ReadCapacityUnits < 1 || throughput.WriteCapacityUnits < 1:
		return nil, invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	default:
		t.readUnits, t.writeUnits = throughput.ReadCapacityUnits, throughput.WriteCapacityUnits
	}

	db.mu.Lock()
	defer db.mu.Unlock()
	if db.tables[t.name] != nil {
		return nil, &apiError{http.StatusBadRequest, typeInUse, "Table already exists: " + t.name, nil}
	}
	if db.tables == nil {
		db.tables = map[string]*table{}
	}
	db.tables[t.name] = t
	return map[string]any{"TableDescription": db.describe(t, "ACTIVE")}, nil
}

// schema reads KeySchema with the types that AttributeDefinitions gives.
func (in *createTableInput) schema() (schema, error) {
	types := map[string]string{}
	for _, def := range in.AttributeDefinitions {
		if err := oneOf("AttributeType", &def.AttributeType, "S", "N", "B"); err != nil {
			return schema{}, err
		}
		types[def.AttributeName] = def.AttributeType
	}
	switch {
	case len(in.KeySchema) == 0:
		return schema{}, missing("KeySchema")
	case len(in.KeySchema) > 2:
		return schema{}, invalid("1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2")
	case in.KeySchema[0].KeyType != "HASH":
		return schema{}, invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(in.KeySchema) == 2 && in.KeySchema[1].KeyType != "RANGE":
		return schema{}, invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	case len(in.KeySchema) == 2 && in.KeySchema[0].AttributeName == in.KeySchema[1].AttributeName:
		return schema{}, invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	}
	for _, element := range in.KeySchema {
		if types[element.AttributeName] == "" {
			return schema{}, invalid("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: %s",
				element.AttributeName, nameList(types))
		}
	}
	if len(types) != len(in.KeySchema) || len(types) != len(in.AttributeDefinitions) {
		return schema{}, invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	key := schema{hash: keyAttr{in.KeySchema[0].AttributeName, types[in.KeySchema[0].AttributeName]}}
	if len(in.KeySchema) == 2 {
		key.rng = keyAttr{in.KeySchema[1].AttributeName, types[in.KeySchema[1].AttributeName]}
	}
	return key, nil
}

func (db *DB) describeTable(in *tableNameInput) (map[string]any, error) {
	if err := checkTableName(in.TableName); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	t := db.tables[*in.TableName]
	if t == nil {
		return nil, notFound("Requested resource not found: Table: " + *in.TableName + " not found")
	}
	return map[string]any{"Table": db.describe(t, "ACTIVE")}, nil
}

func (db *DB) deleteTable(in *tableNameInput) (map[string]any, error) {
	if err := checkTableName(in.TableName); err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	t := db.tables[*in.TableName]
	if t == nil {
		return nil, notFound("Requested resource not found: Table: " + *in.TableName + " not found")
	}
	delete(db.tables, t.name)
	return map[string]any{"TableDescription": db.describe(t, "DELETING")}, nil
}

func (db *DB) listTables(in *listTablesInput) (listTablesOutput, error) {
	limit := maxListed
	if in.Limit != nil {
		limit = *in.Limit
	}
	if limit < 1 || limit > maxListed {
		return listTablesOutput{}, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value between 1 and %d", limit, maxListed)
	}
	db.mu.RLock()
	names := slices.Sorted(maps.Keys(db.tables))
	db.mu.RUnlock()
	if in.ExclusiveStartTableName != nil {
		i, found := slices.BinarySearch(names, *in.ExclusiveStartTableName)
		if found {
			i++
		}
		names = names[i:]
	}
	// Never nil: an empty list must be [] for the client, not null.
	out := listTablesOutput{TableNames: append([]string{}, names[:min(limit, len(names))]...)}
	if len(names) > limit {
		out.LastEvaluatedTableName = names[limit-1]
	}
	return out, nil
}

// describe gives the TableDescription; the caller holds db.mu.
func (db *DB) describe(t *table, status string) map[string]any {
	var keys, definitions []map[string]string
	for i, attr := range t.schema.attrs() {
		keys = append(keys, map[string]string{"AttributeName": attr.name, "KeyType": []string{"HASH", "RANGE"}[i]})
		definitions = append(definitions, map[string]string{"AttributeName": attr.name, "AttributeType": attr.typ})
	}
	d := map[string]any{
		"TableName":            t.name,
		"TableArn":             fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", db.region(), db.account(), t.name),
		"TableId":              t.id,
		"TableStatus":          status,
		"CreationDateTime":     float64(t.created.UnixMilli()) / 1000,
		"ItemCount":            len(t.records),
		"TableSizeBytes":       t.bytes,
		"KeySchema":            keys,
		"AttributeDefinitions": definitions,
		"ProvisionedThroughput": map[string]int64{
			"NumberOfDecreasesToday": 0, "ReadCapacityUnits": t.readUnits, "WriteCapacityUnits": t.writeUnits,
		},
		"TableClassSummary":         map[string]string{"TableClass": t.class},
		"DeletionProtectionEnabled": false,
	}
	if t.onDemand {
		d["BillingModeSummary"] = map[string]any{
			"BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": float64(t.created.UnixMilli()) / 1000,
		}
	}
	return d
}

// tableName is the service's own pattern; a table ARN in its place is not served.
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

func checkTableName(name *string) error {
	switch {
	case name == nil:
		return missing("TableName")
	case len(*name) < 3 || len(*name) > 255:
		return invalid("TableName must be at least 3 characters long and at most 255 characters long")
	case !tableName.MatchString(*name):
		return invalid("1 validation error detected: Value '%s' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", *name)
	}
	return nil
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
