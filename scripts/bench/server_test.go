//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestAnswersAreDynamoDBs(t *testing.T) {
	t.Parallel()
	all := answers()
	for _, tt := range []struct {
		op, accept    string
		packed        bool
		least, atMost int // bytes of the body once unpacked
	}{
		{"GetItem", "identity", false, 230, 400},
		{"GetItem", "gzip", false, 230, 400}, // small answers stay plain
		{"Scan", "identity", false, 1000 << 10, 1 << 20},
		{"Scan", "", false, 1000 << 10, 1 << 20},
		{"Scan", "gzip", true, 1000 << 10, 1 << 20},
		{"PutItem", "gzip", false, 2, 2},
		{"BatchWriteItem", "identity", false, 10, 40},
	} {
		t.Run(tt.op+" "+tt.accept, func(t *testing.T) {
			t.Parallel()
			req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
			req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+tt.op)
			req.Header.Set("Accept-Encoding", tt.accept)
			w := httptest.NewRecorder()
			canned(all)(w, req)
			resp := w.Result()
			wire, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := resp.Header.Get("X-Amz-Crc32"), strconv.FormatUint(uint64(crc32.ChecksumIEEE(wire)), 10); got != want {
				t.Errorf("checksum = %s, want that of the wire, %s", got, want)
			}
			if got := resp.ContentLength; got != int64(len(wire)) {
				t.Errorf("length = %d, want %d", got, len(wire))
			}
			body := wire
			if packed := resp.Header.Get("Content-Encoding") == "gzip"; packed != tt.packed {
				t.Fatalf("packed = %t, want %t", packed, tt.packed)
			}
			if tt.packed {
				z, err := gzip.NewReader(bytes.NewReader(wire))
				if err != nil {
					t.Fatal(err)
				}
				if body, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
				// Neither noise nor a string of zeros.
				if ratio := float64(len(body)) / float64(len(wire)); ratio < 3 || ratio > 8 {
					t.Errorf("packs by %.1f, want 3 to 8", ratio)
				}
			}
			if !bytes.Equal(body, all[tt.op].plain.body) || len(body) < tt.least || len(body) > tt.atMost {
				t.Errorf("body has %d bytes, want %d to %d", len(body), tt.least, tt.atMost)
			}
		})
	}
}

func TestWritesHaveTheirSizes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		body []byte
		want int
	}{{"BatchWriteItem", batch(12 << 10), 12 << 10}, {"PutItem", bigItem(400 << 10), 400 << 10}} {
		if n := len(tt.body); n < tt.want || n > tt.want*11/10 {
			t.Errorf("%s has %d bytes, want %d", tt.name, n, tt.want)
		}
	}
}

func TestSOCKS5(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer string
		want   string // part of the error; "" for none
	}{
		{"granted", "\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", ""},
		{"refused", "\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", "refused"},
		{"wants a password", "\x05\xff", "authentication"},
		{"ends", "\x05", "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			said := make(chan string, 1)
			go func() {
				defer far.Close()
				buf := make([]byte, 100)
				n, _ := far.Read(buf) // what it is decides the test below
				_, _ = io.WriteString(far, tt.answer[:min(2, len(tt.answer))])
				request := string(buf[:n])
				if len(tt.answer) > 2 {
					n, _ = far.Read(buf)
					request += string(buf[:n])
					_, _ = io.WriteString(far, tt.answer[2:])
				}
				said <- request
			}()
			err := socks5(near, "example.com:443")
			near.Close()
			request := <-said
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if want := "\x05\x01\x00\x05\x01\x00\x03\x0bexample.com\x01\xbb"; request != want {
					t.Errorf("said % x, want % x", request, want)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestHTTPConnect(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"HTTP/1.1 200 OK\r\n\r\n":                               "",
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno": "403",
		"HTTP/1.1 200": "EOF",
	} {
		near, far := net.Pipe()
		asked := make(chan string, 1)
		go func() {
			defer far.Close()
			req, err := http.ReadRequest(bufio.NewReader(far))
			if err != nil {
				asked <- err.Error()
				return
			}
			asked <- req.Method + " " + req.RequestURI
			_, _ = io.WriteString(far, answer)
		}()
		err := httpConnect(near, "example.com:443")
		near.Close()
		if got, want := <-asked, "CONNECT example.com:443"; got != want {
			t.Errorf("asked %q, want %q", got, want)
		}
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("answer %q: error = %v, want %q", answer, err, want)
		}
	}
}
