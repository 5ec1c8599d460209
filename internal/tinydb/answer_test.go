package tinydb

import (
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

func answer(db *DB, op, body string) *http.Response {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
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
		name, op, body string
		status         int
	}{
		{"success", "ListTables", `{}`, 200},
		{"refusal", "GetItem", `{}`, 400},
		{"unknown operation", "Nonsense", `{}`, 400},
		{"long body", "Scan", `{"TableName":"music"}`, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			resp := answer(db, c.op, c.body)
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
			if got := fmt.Sprint(resp.Header); got != fmt.Sprint(want) {
				t.Errorf("headers\n got %v\nwant %v", got, want)
			}
			if resp.StatusCode != c.status {
				t.Errorf("status = %d, want %d", resp.StatusCode, c.status)
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
	resp := answer(&DB{}, "BatchWriteItem", strings.Repeat(" ", maxBody+1))
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
