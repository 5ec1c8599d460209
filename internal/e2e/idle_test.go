//go:build linux

package e2e

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/ddbproxy/ddbproxy/internal/edge"
	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// Dynalite closes connections that were idle for 5 s, and here AWS does too,
// sooner than ddbproxy gives them up itself: neither its pool nor its spare
// connections may cost a client a call, although none is sent twice.
func TestConnectionsClosedWhileIdleCostNoCall(t *testing.T) {
	t.Parallel()
	r := newRigOn(t, lab.Config{}, lab.Dynalite, func(s *edge.Server) { s.IdleTimeout = 5 * time.Second })
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	c, table := r.gosdk(once), aws.String("idle")
	createTable(t, c, *table)
	eventually(t, "the table is active", func() bool {
		got, err := c.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: table})
		return err == nil && got.Table.TableStatus == types.TableStatusActive
	})
	const rounds = 3
	for range rounds {
		if _, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: table, Key: row{"pk": newRow("a", "")["pk"]},
			UpdateExpression:          aws.String("ADD n :one"),
			ExpressionAttributeValues: row{":one": &types.AttributeValueMemberN{Value: "1"}},
		}); err != nil {
			t.Error(err)
		}
		wait(t, 6*time.Second)
	}
	got, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: row{"pk": newRow("a", "")["pk"]}})
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := got.Item["n"].(*types.AttributeValueMemberN); n == nil || n.Value != "3" {
		t.Errorf("counter = %v after %d increments", got.Item["n"], rounds)
	}
	if got := r.applied("UpdateItem"); got != rounds {
		t.Errorf("AWS applied %d increments, want %d", got, rounds)
	}
}
