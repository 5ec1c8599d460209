package tinydb

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func answer(db *DB, op, body, acceptEncoding string) *http.Response {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	if acceptEncoding != "" {
		r.Header.Set("Accept-Encoding", acceptEncoding)
	}
	w := httptest.NewRecorder()
	db.ServeHTTP(w, r)
	return w.Result()
}

func TestEveryAnswerCarriesTheServicesHeaders(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	for i := range 40 {
		put(t, db, fmt.Sprintf(`{"Artist":{"S":"somebody"},"Year":{"N":"%d"}}`, i))
	}
	for _, c := range []struct {
		name, op, body, accept string
		status                 int
		encoding               string
	}{
		{"success", "ListTables", `{}`, "identity", 200, ""},
		{"refusal", "GetItem", `{}`, "", 400, ""},
		{"unknown operation", "Nonsense", `{}`, "gzip", 400, ""},
		{"long body, gzip asked", "Scan", `{"TableName":"music"}`, "gzip", 200, "gzip"},
		{"long body, gzip refused", "Scan", `{"TableName":"music"}`, "gzip;q=0", 200, ""},
		{"long body, identity asked", "Scan", `{"TableName":"music"}`, "identity", 200, ""},
		{"short body, gzip asked", "ListTables", `{}`, "gzip", 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			resp := answer(db, c.op, c.body, c.accept)
			wire, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			id := resp.Header.Get("x-amzn-RequestId")
			if !regexp.MustCompile(`^[0-9A-V]{52}$`).MatchString(id) {
				t.Errorf("x-amzn-RequestId = %q, want 52 characters 0-9A-V", id)
			}
			resp.Header.Del("x-amzn-RequestId")
			want := http.Header{
				"Server":         {"Server"},
				"Content-Type":   {"application/x-amz-json-1.0"},
				"Content-Length": {fmt.Sprint(len(wire))},
				"X-Amz-Crc32":    {fmt.Sprint(crc32.ChecksumIEEE(wire))},
			}
			if c.encoding != "" {
				want.Set("Content-Encoding", c.encoding)
			}
			if got := fmt.Sprint(resp.Header); got != fmt.Sprint(want) {
				t.Errorf("headers\n got %v\nwant %v", got, want)
			}
			if resp.StatusCode != c.status {
				t.Errorf("status = %d, want %d", resp.StatusCode, c.status)
			}
			if c.encoding == "gzip" {
				z, err := gzip.NewReader(bytes.NewReader(wire))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(z)
				if err != nil || !strings.Contains(string(plain), `"Count":40`) {
					t.Errorf("unpacked body = %q, %v", plain, err)
				}
			}
		})
	}
}

func TestOnlyPostToRootIsServed(t *testing.T) {
	t.Parallel()
	for _, r := range []*http.Request{httptest.NewRequest("GET", "/", nil), httptest.NewRequest("POST", "/eu-west-1", nil)} {
		w := httptest.NewRecorder()
		(&DB{}).ServeHTTP(w, r)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "UnknownOperationException") {
			t.Errorf("%s %s = %d %s, want 404 UnknownOperationException", r.Method, r.URL, w.Code, w.Body)
		}
	}
}

func TestBodyOverSixteenMegabytesIsRefused(t *testing.T) {
	t.Parallel()
	resp := answer(&DB{}, "BatchWriteItem", strings.Repeat(" ", maxBody+1), "")
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status = %d, want 413", resp.StatusCode)
	}
}

func TestManyWritersAndReadersAtOnce(t *testing.T) {
	t.Parallel()
	db := withTable(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				put(t, db, fmt.Sprintf(`{"Artist":{"S":"w%d"},"Year":{"N":"%d"}}`, w, i))
				do(t, db, "Scan", `{"TableName":"music","Limit":5}`)
				do(t, db, "DeleteItem", fmt.Sprintf(`{"TableName":"music","Key":{"Artist":{"S":"w%d"},"Year":{"N":"%d"}}}`, w, i-5))
			}
		})
	}
	wg.Wait()
	expect(t, db, "Scan", `{"TableName":"music","Select":"COUNT"}`, `{"Count":40,"ScannedCount":40}`)
}
