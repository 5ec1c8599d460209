//go:build linux

package e2e

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// thinLink has 20 Mbit/s.
var thinLink = lab.Config{Uplink: lab.LinkConfig{Rate: 20e6}}

// fillTable makes a table of about 3 MB, three pages of a Scan, and returns its
// texts by key.
func (r *rig) fillTable(t *testing.T, name string) map[string]string {
	t.Helper()
	c := r.fromBastion()
	createTable(t, c, name)
	random := rand.New(rand.NewPCG(3, 4))
	words := strings.Fields("order customer invoice delivered pending returned street city amount currency warehouse parcel")
	texts := map[string]string{}
	for range 30 {
		var puts []types.WriteRequest
		for range 25 {
			var text []string
			for range 500 {
				text = append(text, words[random.IntN(len(words))])
			}
			key := fmt.Sprintf("%016x", random.Uint64())
			texts[key] = strings.Join(text, " ")
			puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: newRow(key, texts[key])}})
		}
		out, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{name: puts}})
		if err != nil || len(out.UnprocessedItems) > 0 {
			t.Fatalf("%d unprocessed, %v", len(out.UnprocessedItems), err)
		}
	}
	return texts
}

// scanners are clients of which none asks for gzip; each returns texts by key.
var scanners = map[string]func(t *testing.T, r *rig, table string) map[string]string{
	"aws cli": func(t *testing.T, r *rig, table string) map[string]string {
		got := r.local("scan", "--table-name", table, "--output", "json", "--query", "Items[].[pk.S, text.S]")
		var rows [][2]string
		if err := json.Unmarshal([]byte(got.out), &rows); got.code != 0 || err != nil {
			t.Fatalf("exit code %d, %v\n%s", got.code, err, got.stderr)
		}
		texts := map[string]string{}
		for _, row := range rows {
			texts[row[0]] = row[1]
		}
		return texts
	},
	"boto3": func(t *testing.T, r *rig, table string) map[string]string {
		return r.scanByScript(t, "boto3_story.py", table)
	},
	"javascript v3": func(t *testing.T, r *rig, table string) map[string]string {
		return r.scanByScript(t, "jsv3_story.mjs", table)
	},
}

func (r *rig) scanByScript(t *testing.T, script, table string) map[string]string {
	t.Helper()
	got := r.through(ways[0], lab.ClientScript(t, script), "scan", table)
	var line struct{ Result map[string]string }
	if err := json.Unmarshal([]byte(got.out), &line); got.code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s%.300s", got.code, err, got.stderr, got.out)
	}
	return line.Result
}

// scanned has every scanner read the table and returns the bytes that crossed
// the link and what AWS was asked for.
func (r *rig) scanned(t *testing.T, table string, want map[string]string) (bytes int64, accepted map[string]int) {
	t.Helper()
	accepted = map[string]int{}
	before, seen := r.Uplink.Stats().Bytes, len(r.aws.Seen().Requests)
	for _, name := range slices.Sorted(maps.Keys(scanners)) {
		if got := scanners[name](t, r, table); !maps.Equal(got, want) {
			t.Errorf("%s read %d items, not the %d of the table", name, len(got), len(want))
		}
	}
	for _, q := range r.aws.Seen().Requests[seen:] {
		accepted[q.Header.Get("Accept-Encoding")]++
	}
	return r.Uplink.Stats().Bytes - before, accepted
}

func TestFewerBytesCrossAThinLink(t *testing.T) {
	t.Parallel()
	r := newRig(t, thinLink)
	r.openDoor(lab.SSHDOptions{})
	want := r.fillTable(t, "orders")
	crossed := map[string]int64{}
	for _, mode := range []string{"off", "on", "auto"} {
		s := r.connect("--compress", mode, "-v")
		bytes, accepted := r.scanned(t, "orders", want)
		crossed[mode] = bytes
		t.Logf("--compress %s: %d bytes, asked for %v", mode, bytes, accepted)
		switch asked := accepted["gzip"]; {
		case mode == "off" && asked > 0, mode == "on" && asked < 9, mode == "auto" && (asked == 0 || asked == len(accepted)):
			t.Errorf("--compress %s: AWS was asked for %v", mode, accepted)
		}
		status := r.client(nil, filepath.Join(programs, "ddbproxy"), "status")
		if got, want := strings.Contains(status.out, "answers compressed"), mode != "off"; got != want {
			t.Errorf("--compress %s: status says %q", mode, status.out)
		}
		if got, want := strings.Contains(s.stderr.String(), "answers arrive slowly: AWS is asked for gzip"), mode == "auto"; got != want {
			t.Errorf("--compress %s: the log tells of a slow link: %v, want %v", mode, got, want)
		}
		s.stop(os.Interrupt)
	}
	// In auto the first page is plain, and one in a while, often in the beginning.
	if crossed["on"] > crossed["off"]/3 || crossed["auto"] > crossed["off"]*4/5 {
		t.Errorf("bytes over the link: %v", crossed)
	}
}

func TestCallersWhoAskForGzipGetWhatAWSSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, thinLink)
	r.openDoor(lab.SSHDOptions{})
	want := r.fillTable(t, "orders")
	r.connect("--compress", "on")
	plain := ""
	for _, accept := range []string{"identity", "gzip"} {
		req := r.signed(t, "Scan", []byte(`{"TableName":"orders","Limit":50}`))
		req.Header.Set("Accept-Encoding", accept)
		resp, body := r.post(t, req)
		h := resp.Header
		if sum := fmt.Sprint(crc32.ChecksumIEEE([]byte(body))); h.Get("X-Amz-Crc32") != sum || h.Get("Content-Length") != fmt.Sprint(len(body)) {
			t.Errorf("%s: x-amz-crc32 %s, length %s, want %s, %d", accept, h.Get("X-Amz-Crc32"), h.Get("Content-Length"), sum, len(body))
		}
		if got, want := h.Get("Content-Encoding"), strings.TrimPrefix(accept, "identity"); got != want {
			t.Errorf("%s: Content-Encoding %q, want %q", accept, got, want)
		}
		if accept == "identity" {
			plain = body
			continue
		}
		z, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if unpacked, err := io.ReadAll(z); err != nil || !sameJSON(string(unpacked), plain) {
			t.Errorf("unpacked %d bytes, %v, want the %d that the other caller got", len(unpacked), err, len(plain))
		}
	}
	// A whole client too: the SDK for Go unpacks and checks by itself.
	sdk := r.gosdk(func(o *dynamodb.Options) { o.EnableAcceptEncodingGzip = true })
	got := map[string]string{}
	for p := dynamodb.NewScanPaginator(sdk, &dynamodb.ScanInput{TableName: new("orders")}); p.HasMorePages(); {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range out.Items {
			got[keyOf(item)] = textOf(item)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the Go SDK read %d items, not the %d of the table", len(got), len(want))
	}
}
