//go:build linux

package e2e

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// A row is an item: text by a key.
type row = map[string]types.AttributeValue

func newRow(key, text string) row {
	return row{"pk": &types.AttributeValueMemberS{Value: key}, "text": &types.AttributeValueMemberS{Value: text}}
}

func keyOf(r row) string {
	s, _ := r["pk"].(*types.AttributeValueMemberS)
	return s.Value
}

func textOf(r row) string {
	s, ok := r["text"].(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return s.Value
}

// createTable makes a table with one string key, pk.
func createTable(t testing.TB, c *dynamodb.Client, name string) {
	t.Helper()
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            &name,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
		BillingMode:          types.BillingModePayPerRequest,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGoStory(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	for name, c := range map[string]*dynamodb.Client{
		"own keys":   r.gosdk(),
		"gzip":       r.gosdk(func(o *dynamodb.Options) { o.EnableAcceptEncodingGzip = true }),
		"proxy mode": r.gosdkProxyMode(),
	} {
		t.Run(name, func(t *testing.T) { goStory(t, c) })
	}
	r.viaTheEndpoint(t)
}

// goStory is the story of the client scripts. The SDK checks the CRC of every
// answer by itself.
func goStory(t *testing.T, c *dynamodb.Client) {
	ctx, table := t.Context(), aws.String("music")
	createTable(t, c, *table)
	a := newRow("a", "first")
	if _, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: a}); err != nil {
		t.Error(err)
	}
	got, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: row{"pk": a["pk"]}, ConsistentRead: aws.Bool(true)})
	if err != nil || textOf(got.Item) != "first" {
		t.Errorf("GetItem: %+v, %v", got, err)
	}
	found, err := c.Query(ctx, &dynamodb.QueryInput{TableName: table, KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: row{":pk": a["pk"]}})
	if err != nil || found.Count != 1 {
		t.Errorf("Query: %+v, %v", found, err)
	}
	var puts []types.WriteRequest
	for n := range 25 {
		puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: newRow(fmt.Sprint("batch-", n), "x")}})
	}
	if _, err := c.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{*table: puts}}); err != nil {
		t.Error(err)
	}
	_, err = c.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: table, Item: newRow("t", "both")}},
		{Delete: &types.Delete{TableName: table, Key: row{"pk": a["pk"]}}},
	}})
	if err != nil {
		t.Error(err)
	}
	all, err := c.Scan(ctx, &dynamodb.ScanInput{TableName: table, Select: types.SelectCount})
	if err != nil || all.Count != 26 {
		t.Errorf("Scan: %+v, %v, want 26 items", all, err)
	}
	if _, err := c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table}); err != nil {
		t.Error(err)
	}
}

// What is large travels in many packets, frames and windows, and arrives as it
// was sent.
func TestLargeItemsAndPagesArriveUnchanged(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	r.openDoor(lab.SSHDOptions{})
	r.connect()
	ctx, table := t.Context(), aws.String("large")
	c := r.gosdk()
	createTable(t, c, *table)

	random := rand.New(rand.NewPCG(1, 2))
	written := map[string]string{}
	for n := range 8 {
		key, text := fmt.Sprint("item-", n), randomText(random, 350<<10)
		written[key] = text
		if _, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: newRow(key, text)}); err != nil {
			t.Fatal(err)
		}
	}
	one, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: row{"pk": newRow("item-3", "")["pk"]}})
	if err != nil || textOf(one.Item) != written["item-3"] {
		t.Errorf("a 350 KB item came back as %d bytes, %v", len(textOf(one.Item)), err)
	}

	for name, c := range map[string]*dynamodb.Client{
		"own keys":   c,
		"gzip":       r.gosdk(func(o *dynamodb.Options) { o.EnableAcceptEncodingGzip = true }),
		"proxy mode": r.gosdkProxyMode(),
	} {
		t.Run(name, func(t *testing.T) {
			read, pages := map[string]string{}, 0
			for p := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: table}); p.HasMorePages(); pages++ {
				page, err := p.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, item := range page.Items {
					read[keyOf(item)] = textOf(item)
				}
			}
			if pages < 2 {
				t.Errorf("%d page, want the scan of 2.8 MB in several", pages)
			}
			if got, want := digest(read), digest(written); got != want {
				t.Errorf("%d items with digest %s, want %d with %s", len(read), got, len(written), want)
			}
		})
	}
}

func randomText(random *rand.Rand, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789 \"\\"
	var b strings.Builder
	for range n {
		b.WriteByte(letters[random.IntN(len(letters))])
	}
	return b.String()
}

// digest is one hash of all rows, whatever their order.
func digest(rows map[string]string) string {
	var h hash.Hash = sha256.New()
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(h, "%q %q\n", key, rows[key])
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
