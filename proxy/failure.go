package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// hopError is what an error from Dial, or from a connection it gave, may know: at which hop things stopped ("local",
// "ssh", "relay", "dns", "aws") and whether waiting is in vain.
type hopError interface {
	error
	Hop() string
	Permanent() bool
}

// A dialError is Dial's.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// A handshakeError is a TLS handshake's with host.
type handshakeError struct {
	host string
	err  error
}

func (e *handshakeError) Error() string { return "TLS handshake with " + e.host + ": " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

var errNoDial = errors.New("proxy: Server.Dial is nil")

// A failure is an error explained: where, whether it can pass by itself, and in words.
type failure struct {
	hop       string
	permanent bool
	text      string
}

// refusal is the answer to a failure that waiting does not mend.
func (f failure) refusal() *answer {
	kind := endpointUnreachable
	switch f.hop {
	case "local", "ssh", "relay":
		kind = bastionUnreachable
	}
	return refusal(kind, f.hop+": "+f.text)
}

// explain says what an error on the way to c's endpoint means.
func explain(err error, c call) failure {
	f := explainAt(err, c.host)
	if c.service == endpoint.Streams && f.hop != "local" && f.hop != "ssh" {
		f.text += "; DynamoDB Streams is not behind a gateway endpoint: its VPC needs an interface endpoint com.amazonaws." + c.region + ".dynamodb-streams"
	}
	return f
}

func explainAt(err error, host string) failure {
	var (
		hop       hopError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		noTLS     tls.RecordHeaderError
		handshake *handshakeError
		dns       *net.DNSError
		dial      *dialError
		cert      *tls.CertificateVerificationError
		alert     *net.OpError
	)
	switch {
	case errors.As(err, &hop):
		// Who prints it names the hop, which package tunnel's texts do too.
		return failure{hop.Hop(), hop.Permanent(), oneLine(strings.TrimPrefix(hop.Error(), hop.Hop()+": "), 400)}
	case errors.Is(err, errNoDial):
		return failure{"local", true, err.Error()}
	case errors.As(err, &authority):
		return failure{"aws", true, "the certificate of " + host + " is not signed by an authority known here" + issuer(authority.Cert) +
			"; if your network inspects TLS, pass its CA certificate with --ca-bundle"}
	case errors.As(err, &hostname):
		return failure{"aws", true, "the certificate presented is not for " + host + "; something between the bastion and AWS answers in its place"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return failure{"aws", true, "the certificate of " + host + " is not valid at this machine's time; set its clock"}
	case errors.As(err, &cert):
		return failure{"aws", true, "the certificate of " + host + " is not acceptable: " + oneLine(cert.Err.Error(), 200)}
	case errors.As(err, &alert) && alert.Op == "remote error": // crypto/tls: the far end's alert
		return failure{"aws", true, host + " refused the TLS handshake (" + oneLine(alert.Err.Error(), 100) + "); is this name served there?"}
	case errors.As(err, &noTLS):
		return failure{"aws", true, "what answers for " + host + " does not speak TLS"}
	case errors.As(err, &dns):
		return failure{"dns", dns.IsNotFound, oneLine(dns.Error(), 200)}
	case errors.Is(err, errNoConnection), errors.As(err, &dial) && errors.Is(err, context.DeadlineExceeded):
		return failure{"dial", false, "the connection through the bastion is not up"}
	case errors.As(err, &dial):
		return failure{"dial", false, oneLine(dial.Error(), 200)}
	case errors.As(err, &handshake) && errors.Is(err, context.DeadlineExceeded):
		return failure{"aws", false, fmt.Sprintf("%s did not finish the TLS handshake within %v", host, handshakeTimeout)}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failure{"aws", false, "the connection to " + host + " was reset"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return failure{"aws", false, "the connection to " + host + " was closed"}
	}
	return failure{"aws", false, oneLine(err.Error(), 200)}
}

// issuer names the signer of a certificate, which tells a company's inspection from an attack.
func issuer(cert *x509.Certificate) string {
	if cert == nil {
		return ""
	}
	return " (issuer " + oneLine(cert.Issuer.String(), 100) + ")"
}
