package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/ddbproxy/ddbproxy/tunnel"
)

// The services, as errors name them.
const (
	serviceConnect = "EC2 Instance Connect"
	serviceEC2     = "EC2"
)

// ready makes sure that there are credentials, which a person may be asked for.
func (d *doorman) ready(ctx context.Context, service string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if _, err := d.credentials.Retrieve(ctx); err != nil {
		_, sent := transport(err)
		return &tunnel.Error{Kind: tunnel.KindConfig, Passing: sent, Err: fmt.Errorf("%s needs AWS credentials: %w", service, err)}
	}
	return nil
}

// failed words what a call came to. The codes are those of the API references
// of EC2 Instance Connect (SendSSHPublicKey) and of EC2 (Error codes), and
// those that all services share.
func (d *doorman) failed(service string, err error) error {
	var said smithy.APIError
	if !errors.As(err, &said) {
		return d.unanswered(service, err)
	}
	// EC2 adds what only "aws sts decode-authorization-message" can read.
	message, _, _ := strings.Cut(said.ErrorMessage(), " Encoded authorization failure message:")
	e := &tunnel.Error{Kind: tunnel.KindAuth, Err: fmt.Errorf("%s: %s: %s", service, said.ErrorCode(), message)}
	switch said.ErrorCode() {
	case "EC2InstanceNotFoundException", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed":
		return d.absent(service)
	case "EC2InstanceStateInvalidException":
		return d.stopped(service, "not running")
	case "AuthException", "AccessDeniedException", "UnauthorizedOperation":
		e.Hint = "let this user do ec2-instance-connect:SendSSHPublicKey on " + d.id + ", as that user of it (ec2:osuser)"
		if service == serviceEC2 {
			e.Hint = "let this user do ec2:DescribeInstances, or give the way: ddbproxy connect --instance-connect " + d.id + " USER@HOST"
		}
	case "UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "InvalidSignatureException", "SignatureDoesNotMatch",
		"ExpiredTokenException", "ExpiredToken", "RequestExpired", "MissingAuthenticationToken":
		e.Hint = "check the AWS credentials: aws sts get-caller-identity"
	case "InvalidArgsException", "ValidationException", "InvalidParameterValue":
		e.Kind, e.Hint = tunnel.KindConfig, "check the user name, and the id of the instance"
	case "EC2InstanceUnavailableException":
		e.Kind, e.Passing, e.Hint = tunnel.KindUnreachable, true, "try again in a few minutes"
	case "ThrottlingException", "Throttling", "RequestLimitExceeded", "ServiceException":
		e.Kind, e.Passing, e.Hint = tunnel.KindUnreachable, true, "try again in a moment"
	default:
		var answer *smithyhttp.ResponseError
		if errors.As(err, &answer) && answer.HTTPStatusCode() >= 500 {
			e.Kind, e.Passing, e.Hint = tunnel.KindUnreachable, true, "try again in a moment"
		}
	}
	return e
}

// absent, stopped and pending are the states of an instance that has no door.
func (d *doorman) absent(service string) error {
	return &tunnel.Error{Kind: tunnel.KindUnreachable, Err: fmt.Errorf("%s: there is no instance %s in %s", service, d.id, d.region),
		Hint: "check the id, --region and --profile"}
}

func (d *doorman) stopped(service, state string) error {
	return &tunnel.Error{Kind: tunnel.KindUnreachable, Err: fmt.Errorf("%s: the instance is %s", service, state),
		Hint: fmt.Sprintf("start it: aws ec2 start-instances --instance-ids %s --region %s", d.id, d.region)}
}

func (d *doorman) pending(service string) error {
	return &tunnel.Error{Kind: tunnel.KindUnreachable, Passing: true, Err: fmt.Errorf("%s: the instance has no address yet", service),
		Hint: "try again in a moment"}
}

// unanswered words a call that got no answer.
func (d *doorman) unanswered(service string, err error) error {
	e := &tunnel.Error{Kind: tunnel.KindUnreachable, Passing: true}
	cause, _ := transport(err)
	e.Err = fmt.Errorf("%s in %s does not answer: %w", service, d.region, cause)
	e.Hint = "check this machine's network, and HTTPS_PROXY"
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		e.Passing, e.Hint = false, "if a proxy here opens TLS, give its authority with --ca-bundle"
	}
	return e
}

// transport finds what went wrong below HTTP in an error of the SDK, which
// repeats the request around it; sent is false where it is something else.
func transport(err error) (cause error, sent bool) {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err, true
	}
	return err, errors.Is(err, context.DeadlineExceeded)
}
