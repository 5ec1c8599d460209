//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
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

// do sends the request and reads the answer. received, if not nil, counts its
// bytes as they come.
func (c *call) do(ctx context.Context, t *http.Transport, received *atomic.Int64) error {
	req := c.request.WithContext(ctx)
	req.Body = io.NopCloser(bytes.NewReader(c.body))
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	buf := make([]byte, 32<<10)
	got := 0
	var start []byte
	for {
		n, err := resp.Body.Read(buf)
		if got == 0 {
			start = bytes.Clone(buf[:min(n, 300)])
		}
		got += n
		if received != nil {
			received.Add(int64(n))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", got, c.want, err)
		}
	}
	if resp.StatusCode != http.StatusOK || got != c.want {
		return fmt.Errorf("answer is %s with %d bytes, want %d: %.300s", resp.Status, got, c.want, start)
	}
	return nil
}
