package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// AWSChecks look at the bastion's place in its VPC and at what policies allow, by
// calls of EC2 and IAM that read only. They share what they have learnt, so each
// bastion needs a list of its own.
func AWSChecks() []Check {
	n := new(network)
	check := func(id, title string, run func(context.Context, *Facts) Finding, needs ...string) Check {
		return Check{ID: id, Section: AWS, Title: title, Needs: append([]string{idSettings}, needs...), Run: func(ctx context.Context, f *Facts) Finding {
			if skip := n.open(f); skip != nil {
				return *skip
			}
			return run(ctx, f)
		}}
	}
	return []Check{
		check("aws.instance", "bastion's network", n.lookInstance),
		check("aws.endpoint", "VPC endpoint", n.lookEndpoint),
		check("aws.service", "service and region", n.lookService, "aws.endpoint"),
		check("aws.state", "endpoint state", n.lookState, "aws.endpoint"),
		check("aws.way", "way to the endpoint", n.lookWay, "aws.endpoint", "aws.service"),
		check("aws.dns", "address of DynamoDB", n.lookDNS),
		check("aws.egress", "security group", n.lookEgress),
		check("aws.acl", "network ACL", n.lookACL),
		check("aws.policy", "endpoint policy", n.lookPolicy, "aws.endpoint", "aws.service"),
		check("aws.iam", "IAM, through it", n.lookThrough, "aws.endpoint"),
		check("aws.iam.elsewhere", "IAM, from elsewhere", n.lookElsewhere),
	}
}

// network is what AWS has said of the bastion's surroundings so far.
type network struct {
	region string // of the bastion
	ec2    *ec2.Client
	iam    *iam.Client

	endpoint *types.VpcEndpoint
	prefixes *prefixList // nil: not asked yet
}

// open makes the clients. EC2 is asked in the bastion's region, whatever region
// is served.
func (n *network) open(f *Facts) (skip *Finding) {
	n.region = f.BastionRegion
	if n.region == "" || f.Region != "" && !samePartition(n.region, f.Region) { // keys of one are not for another
		n.region = f.Region
	}
	var s Finding
	switch {
	case f.Config.Credentials == nil:
		s = Skip("there are no AWS credentials to ask with")
	case n.region == "":
		s = Skip("the bastion's region is not known: give --region")
	default:
		if n.ec2 == nil {
			cfg := f.Config.Copy()
			cfg.Region = n.region
			n.ec2 = ec2.NewFromConfig(cfg, func(o *ec2.Options) {
				if url := f.urlOf("AWS_ENDPOINT_URL_EC2"); url != nil {
					o.BaseEndpoint = url
				}
			})
			n.iam = iam.NewFromConfig(cfg, func(o *iam.Options) {
				if url := f.urlOf("AWS_ENDPOINT_URL_IAM"); url != nil {
					o.BaseEndpoint = url
				}
			})
		}
		return nil
	}
	return &s
}

// unasked is the finding where a call of ours failed: nothing is known then. A
// permission that lacks is named.
func unasked(err error, action string) Finding {
	var said smithy.APIError
	if !errors.As(err, &said) {
		if errors.Is(err, context.DeadlineExceeded) {
			return Skip("AWS did not answer %s in time", action)
		}
		return Skip("%s could not be asked: %s", action, lastCause(err))
	}
	// EC2 adds what only "aws sts decode-authorization-message" can read.
	message, _, _ := strings.Cut(said.ErrorMessage(), " Encoded authorization failure message:")
	switch code := said.ErrorCode(); code {
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
		d := denial.Parse(message)
		if d.Action != "" {
			action = d.Action
		}
		if d.Policy == denial.Unsaid || d.Policy == denial.Identity && !d.Explicit {
			return Skip("these credentials lack the permission %s", action)
		}
		why, _ := d.Explain(denial.Through) // of EC2 no path is expected
		return Skip("these credentials lack the permission %s: %s", action, why)
	case "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return Skip("AWS does not take these credentials (%s): aws sts get-caller-identity", code)
	default:
		return Skip("%s was answered with %s: %s", action, code, message)
	}
}

// lastCause is an error of the SDK without the request around it.
func lastCause(err error) error {
	var op *smithy.OperationError
	if errors.As(err, &op) {
		err = op.Err
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// isCode reports whether err is AWS's error of that name.
func isCode(err error, code string) bool {
	var said smithy.APIError
	return errors.As(err, &said) && said.ErrorCode() == code
}

// aws makes a command of the AWS CLI in the bastion's region.
func (n *network) aws(format string, args ...any) string {
	return "aws " + fmt.Sprintf(format, args...) + " --region " + n.region
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

// lookInstance completes what the bastion has told of itself.
func (n *network) lookInstance(ctx context.Context, f *Facts) Finding {
	in := &ec2.DescribeInstancesInput{}
	switch {
	case f.VPC != "" && f.Subnet != "" && len(f.SecurityGroups) > 0:
		return Well("%s in %s, %s, as the relay says", nameOr(f.Instance, "the bastion"), f.Subnet, f.VPC)
	case f.Instance != "":
		in.InstanceIds = []string{f.Instance}
	default:
		return Skip("the bastion did not tell its instance id, so its VPC is not known")
	}
	out, err := n.ec2.DescribeInstances(ctx, in)
	switch {
	case isCode(err, "InvalidInstanceID.NotFound"):
		return Bad(fmt.Sprintf("%s is not in %s", f.Instance, n.region),
			"These credentials are of another account than the bastion, or the region is another; the account's endpoints and policies do not concern it.",
			"use a profile of the bastion's account: ddbproxy doctor … --profile PROFILE")
	case err != nil:
		return unasked(err, "ec2:DescribeInstances")
	case len(out.Reservations) == 0 || len(out.Reservations[0].Instances) == 0:
		return Skip("EC2 answers without %s", f.Instance)
	}
	i := out.Reservations[0].Instances[0]
	f.VPC, f.Subnet = aws.ToString(i.VpcId), aws.ToString(i.SubnetId)
	f.SecurityGroups = nil
	for _, g := range i.SecurityGroups {
		f.SecurityGroups = append(f.SecurityGroups, aws.ToString(g.GroupId))
	}
	if a, err := netip.ParseAddr(aws.ToString(i.PrivateIpAddress)); err == nil {
		f.PrivateAddr = a
	}
	return Well("%s in %s, %s", f.Instance, f.Subnet, f.VPC)
}

// samePartition reports whether regions are of the same of AWS's worlds.
func samePartition(a, b string) bool {
	domain := func(region string) string {
		host, _ := endpoint.Host(endpoint.DynamoDB, region, false, false)
		return strings.TrimPrefix(host, "dynamodb."+region)
	}
	return domain(a) == domain(b)
}

func nameOr(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// wanted is the endpoint name that a session dials, taken apart.
func wanted(f *Facts) endpoint.Endpoint {
	if ep, err := endpoint.Parse(f.Endpoint); err == nil {
		return ep
	}
	return endpoint.Endpoint{Service: endpoint.DynamoDB, Region: f.Region}
}

// Path is the way by which the bastion's calls come to AWS, as far as checks have
// found out. It tells what a denial means.
func (f *Facts) Path() denial.Path {
	if f.path == denial.Unknown && wanted(f).VPCE != "" {
		return denial.Through // such a name leads nowhere else
	}
	return f.path
}

// Explain says in a line each why AWS refused a call that went through the
// tunnel, and what mends it.
func (d *Denial) Explain(f *Facts) (why, remedy string) {
	return denial.Parse(d.Message).Explain(f.Path())
}
