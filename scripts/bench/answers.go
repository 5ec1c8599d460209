//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"strings"
)

// form is an answer as it goes over the wire. DynamoDB's checksum is over that.
type form struct {
	body []byte
	crc  string
}

func newForm(body []byte) form {
	return form{body, strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)}
}

// answer is what the pretend AWS says to an operation. gzip is for those who
// accept it; DynamoDB leaves small answers plain.
type answer struct {
	plain form
	gzip  *form
}

const (
	pageSize = 1 << 20 // of a Scan, which is DynamoDB's bound
	gzipFrom = 1 << 10
)

// answers are the same in every process.
func answers() map[string]answer {
	random := rand.New(rand.NewPCG(1, 2))
	return map[string]answer{
		"GetItem":        newAnswer([]byte(`{"Item":` + item(random) + `}`)),
		"Scan":           newAnswer(page(random)),
		"BatchWriteItem": newAnswer([]byte(`{"UnprocessedItems":{}}`)),
		"PutItem":        newAnswer([]byte(`{}`)),
	}
}

func newAnswer(body []byte) answer {
	a := answer{plain: newForm(body)}
	if len(body) >= gzipFrom {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(body) // a Buffer takes everything
		_ = w.Close()
		f := newForm(packed.Bytes())
		a.gzip = &f
	}
	return a
}

// page is a Scan's answer, filled with items.
func page(random *rand.Rand) []byte {
	var items []string
	for size := 0; size < pageSize-500; size += len(items[len(items)-1]) + 1 {
		items = append(items, item(random))
	}
	return fmt.Appendf(nil, `{"Count":%d,"Items":[%s],"LastEvaluatedKey":{"pk":{"S":"%016X"}},"ScannedCount":%[1]d}`,
		len(items), strings.Join(items, ","), random.Uint64())
}

var words = strings.Fields(`the order was packed and left the house on monday customer asked for a later date
	gift wrap paid by card address checked returned size blue green large small box of twelve fragile do not bend
	leave with neighbour second floor call before delivery refund pending stock low supplier informed`)

// item is an order in a shop, about 300 bytes: ids that do not compress, names
// and words that do.
func item(random *rand.Rand) string {
	note := make([]string, 6+random.IntN(8))
	for i := range note {
		note[i] = words[random.IntN(len(words))]
	}
	text, _ := json.Marshal(strings.Join(note, " ")) // strings always encode
	return fmt.Sprintf(`{"pk":{"S":"ORDER#%016X"},"customer":{"S":"%08x"},"created":{"S":"2026-%02d-%02dT%02d:%02d:%02dZ"},`+
		`"status":{"S":%q},"total":{"N":"%d.%02d"},"items":{"N":"%d"},"paid":{"BOOL":%t},"note":{"S":%s}}`,
		random.Uint64(), random.Uint32(), 1+random.IntN(12), 1+random.IntN(28), random.IntN(24), random.IntN(60), random.IntN(60),
		[]string{"OPEN", "PACKED", "SENT", "RETURNED"}[random.IntN(4)], random.IntN(500), random.IntN(100), 1+random.IntN(9),
		random.IntN(2) == 0, text)
}

// batch is a request of about size bytes that writes items.
func batch(size int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	var puts []string
	for n := 0; n < size; n += len(puts[len(puts)-1]) {
		puts = append(puts, `{"PutRequest":{"Item":`+item(random)+`}}`)
	}
	return []byte(`{"RequestItems":{"bench":[` + strings.Join(puts, ",") + `]}}`)
}

// bigItem is a PutItem of about size bytes.
func bigItem(size int) []byte {
	random := rand.New(rand.NewPCG(5, 6))
	var text strings.Builder
	for text.Len() < size {
		fmt.Fprintf(&text, "%s %x ", words[random.IntN(len(words))], random.Uint32())
	}
	return []byte(`{"TableName":"bench","Item":{"pk":{"S":"BIG"},"text":{"S":"` + text.String() + `"}}}`)
}
