package survey

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// InstanceMetadata is the service's address on every EC2 instance (EC2 User
// Guide, "Access instance metadata for an EC2 instance").
const InstanceMetadata = "http://169.254.169.254"

// metadataTimeout bounds all requests together: what is no instance has nobody at
// that address, and its answer is awaited by a person.
const metadataTimeout = 2 * time.Second

// maxMetadata bounds one answer, in bytes.
const maxMetadata = 16 << 10

// The headers of IMDSv2.
const (
	tokenHeader    = "X-aws-ec2-metadata-token"
	tokenTTLHeader = "X-aws-ec2-metadata-token-ttl-seconds"
)

// place asks the instance metadata service, by IMDSv2, for the categories that
// tell where the instance is (EC2 User Guide, "Instance metadata categories").
func (s Surveyor) place(ctx context.Context) (Place, error) {
	if s.Metadata == "" {
		return Place{}, errors.New("not asked for")
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	m := metadata{url: s.Metadata + "/latest/"}
	var err error
	if m.token, err = m.do(ctx, http.MethodPut, "api/token", tokenTTLHeader, "60"); err != nil {
		return Place{}, fmt.Errorf("no instance metadata: %w", err)
	}
	p := Place{Region: m.get(ctx, "placement/region"), Instance: m.get(ctx, "instance-id")}
	if p.PrivateAddr, err = netip.ParseAddr(m.get(ctx, "local-ipv4")); err != nil {
		p.PrivateAddr, _ = netip.ParseAddr(m.get(ctx, "ipv6"))
	}
	if mac := m.get(ctx, "mac"); mac != "" {
		card := "network/interfaces/macs/" + mac + "/"
		p.VPC, p.Subnet = m.get(ctx, card+"vpc-id"), m.get(ctx, card+"subnet-id")
		p.SecurityGroups = strings.Fields(m.get(ctx, card+"security-group-ids"))
	}
	return p, m.err
}

// metadata is one visit. The first error but of what is not there is kept.
type metadata struct {
	url, token string
	err        error
}

// get is a value, "" where it is not there.
func (m *metadata) get(ctx context.Context, category string) string {
	value, err := m.do(ctx, http.MethodGet, "meta-data/"+category, tokenHeader, m.token)
	if err != nil && m.err == nil && !errors.Is(err, errAbsent) {
		m.err = fmt.Errorf("instance metadata, %s: %w", category, err)
	}
	return value
}

var errAbsent = errors.New("not there")

// do makes one request on a connection of its own. http.Transport would know
// proxies, which are other instances, and makes the relay half a megabyte larger.
func (m *metadata) do(ctx context.Context, method, path, header, value string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, method, m.url+path, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set(header, value)
	r.Close = true
	host := r.URL.Host
	if r.URL.Port() == "" {
		host = net.JoinHostPort(host, "80")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := r.Write(conn); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxMetadata)), r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound && method == http.MethodGet:
		return "", errAbsent
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("it answers %s", resp.Status)
	}
	text, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(text)), err
}
