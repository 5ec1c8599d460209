package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Policy is the condition in the users' identity-based policy.
type Policy struct {
	// SourceVpce is the VPC endpoint id that aws:SourceVpce must equal; all calls that
	// come another way are denied. Empty means no such condition.
	SourceVpce string
}

// check denies a call in IAM's words unless it came through the right endpoint.
func (p Policy) check(region string, user User, vpce, op string, body []byte) *apiError {
	if p.SourceVpce == "" || vpce == p.SourceVpce {
		return nil
	}
	// Through the public endpoint DescribeEndpoints is never denied (Developer Guide,
	// "Internetwork traffic privacy").
	if op == "DescribeEndpoints" && vpce == "" {
		return nil
	}
	return coral("AccessDeniedException",
		"User: %s is not authorized to perform: dynamodb:%s on resource: %s with an explicit deny in an identity-based policy",
		user.ARN, op, resource(region, user.Account, op, body))
}

// resource names what a call is about: its table, the first in the alphabet if there
// are several, else any table.
func resource(region, account, op string, body []byte) string {
	if op == "DescribeEndpoints" {
		return "*" // it is about no table (Service Authorization Reference)
	}
	var about struct {
		TableName    string
		RequestItems map[string]json.RawMessage
	}
	_ = json.Unmarshal(body, &about) // what is not JSON names no table
	table := about.TableName
	if tables := slices.Sorted(maps.Keys(about.RequestItems)); len(tables) > 0 {
		table = tables[0]
	}
	switch {
	case table == "":
		table = "*"
	case strings.HasPrefix(table, "arn:"):
		return table
	}
	return fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", region, account, table)
}
