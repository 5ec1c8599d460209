package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

// reach has the bastion dial DynamoDB.
func (w *Way) reach(ctx context.Context, f *Facts) Finding {
	conn, dialed, err := w.dial(ctx, f)
	if err != nil {
		return w.unreached(ctx, f, err)
	}
	conn.Close()
	w.dialed = dialed
	return Well("%s", f.Endpoint)
}

// dial opens a connection to DynamoDB by the bastion, and tells how long that took.
func (w *Way) dial(ctx context.Context, f *Facts) (net.Conn, time.Duration, error) {
	start := time.Now()
	conn, err := w.Client.DialContext(ctx, "tcp", f.Endpoint+":443")
	return conn, time.Since(start), err
}

// unreached words why the bastion's end did not come to DynamoDB.
func (w *Way) unreached(ctx context.Context, f *Facts, err error) Finding {
	if errors.Is(err, tunnel.ErrNoForwarding) {
		return w.unforwarded(f)
	}
	var refused *relay.Error
	if !errors.As(err, &refused) {
		return Bad(err.Error(), "The connection to the bastion did not last, or did not answer.", "ddbproxy doctor "+f.Bastion)
	}
	detail := refused.Error()
	switch refused.Kind {
	case relay.KindDenied:
		return Bad(detail, "The relay there is told not to dial this: by the key's forced command, sshd_config, or /etc/ddbproxy/relay.toml.", "have the bastion's administrator allow "+f.Endpoint)
	case relay.KindDNS:
		remedy := "in the VPC console, set Enable DNS resolution of the bastion's VPC"
		if ep, err := endpoint.Parse(f.Endpoint); err == nil && (ep.FIPS || ep.DualStack) {
			remedy = "unset AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT"
		}
		return Bad(detail, "The bastion's DNS has no address for "+f.Endpoint+": not every region has such a name, or the VPC's DNS is off.", remedy)
	case relay.KindLimit:
		return Bad(detail, "The bastion's administrator limits connections, and others have them.", "have the bastion's administrator raise connections in /etc/ddbproxy/relay.toml")
	case relay.KindInternal:
		return Bad(detail, "The relay itself failed.", "ddbproxy connect "+f.Bastion+" -v")
	}
	if found, _ := w.look(ctx, f); private(found.Addresses) {
		return Bad(detail, "The bastion finds no way to the interface endpoint: a security group stops it.", "let the bastion's security group in on port 443, in the security group of the interface endpoint")
	}
	return Bad(detail, "The bastion finds no way to DynamoDB: no endpoint is in its route table, or a security group or network ACL stops it.",
		"in the VPC console, create a gateway endpoint for com.amazonaws."+f.Region+".dynamodb with the route table of the bastion's subnet")
}

// tls shakes hands with what answers there.
func (w *Way) tls(ctx context.Context, f *Facts) Finding {
	raw, _, err := w.dial(ctx, f)
	if err != nil {
		return w.unreached(ctx, f, err)
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{ServerName: f.Endpoint, RootCAs: w.Roots, Time: w.now})
	err = conn.HandshakeContext(ctx)
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		leaf := conn.ConnectionState().PeerCertificates[0]
		return Well("%s, by %s", f.Endpoint, leaf.Issuer.CommonName)
	case errors.As(err, &authority):
		issuer := ""
		if authority.Cert != nil {
			issuer = " by " + authority.Cert.Issuer.String()
		}
		return Bad("it is signed"+issuer+", which is not trusted here", "Something inspects TLS between the bastion and AWS, or the list of authorities here is too short.",
			"if your company inspects TLS: give its authority with --ca-bundle FILE")
	case errors.As(err, &hostname):
		return Bad(err.Error(), "Something between the bastion and AWS answers in DynamoDB's place.", "look at "+f.Endpoint+" in the bastion's /etc/hosts and DNS")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Bad(err.Error(), "AWS's certificates are valid, so that this machine's clock is off.", setClock())
	}
	var refused *relay.Error
	if errors.As(err, &refused) {
		return w.unreached(ctx, f, err)
	}
	return Bad(err.Error(), "What answers there does not speak TLS as AWS does, or a device on the way cuts it.", "curl -v https://"+f.Endpoint+"/ on the bastion")
}

// private reports whether there are addresses and all are in private ranges, as
// those of interface endpoints are.
func private[A interface{ IsPrivate() bool }](addrs []A) bool {
	for _, a := range addrs {
		if !a.IsPrivate() {
			return false
		}
	}
	return len(addrs) > 0
}
