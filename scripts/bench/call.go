//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// getItem is the request of a GetItem.
var getItem = []byte(`{"TableName":"bench","Key":{"pk":{"S":"ORDER#0123456789ABCDEF"}}}`)

// call is a request to a peer that may be sent again and again for five minutes,
// since its signature is as old as that. Signing once keeps the clients' work
// small beside what is measured.
type call struct {
	request *http.Request
	body    []byte
	want    int // bytes of the answer
}

// call signs a request for a peer.
func (s *scene) call(p *peer, op string, body []byte) (*call, error) {
	req, err := http.NewRequest(http.MethodPost, p.url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	// As the AWS CLI, boto3 and the SDKs for Go have it.
	req.Header.Set("Accept-Encoding", "identity")
	hash := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, req,
		hex.EncodeToString(hash[:]), "dynamodb", lab.Region, time.Now())
	return &call{req, body, len(s.answers[op].plain.body)}, err
}

// next is the request once more.
func (c *call) next(ctx context.Context) *http.Request {
	req := c.request.WithContext(ctx)
	req.Body = io.NopCloser(bytes.NewReader(c.body))
	return req
}

// do sends the request and reads the answer. received, if not nil, counts its
// bytes as they come.
func (c *call) do(ctx context.Context, t *http.Transport, received *atomic.Int64) error {
	resp, err := t.RoundTrip(c.next(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("answer is %s: %s", resp.Status, said)
	}
	got := 0
	for buf := make([]byte, 32<<10); err == nil; {
		var n int
		n, err = resp.Body.Read(buf)
		got += n
		if received != nil {
			received.Add(int64(n))
		}
	}
	if err != io.EOF || got != c.want {
		return fmt.Errorf("answer has %d bytes, want %d: %w", got, c.want, err)
	}
	return nil
}

// fresh makes the call as a command line client does, over a connection of its own.
func (c *call) fresh(ctx context.Context, p *peer) (time.Duration, error) {
	times, err := lab.FreshPosts{
		Dial: p.dial, TLS: p.tls,
		Request: func(ctx context.Context) (*http.Request, error) { return c.next(ctx), nil },
	}.Measure(ctx, 1)
	if err != nil {
		return 0, err
	}
	return times[0], nil
}

// check makes a call and compares what comes with what the pretend AWS says.
func (c *call) check(ctx context.Context, t *http.Transport, want []byte) error {
	resp, err := t.RoundTrip(c.next(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(got)), 10)
	if resp.StatusCode != http.StatusOK || !bytes.Equal(got, want) || resp.Header.Get("X-Amz-Crc32") != sum {
		return fmt.Errorf("answer is %s with %d bytes and checksum %s, want %d and %s: %.100s",
			resp.Status, len(got), resp.Header.Get("X-Amz-Crc32"), len(want), sum, got)
	}
	return nil
}
