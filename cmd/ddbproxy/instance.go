package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/tunnel"
)

const (
	// defaultUser is that of Amazon's own images, and the AWS CLI's choice.
	defaultUser = "ec2-user"
	// pushedFor is how long an instance takes a key that was pushed to it
	// (SendSSHPublicKey in the API reference of EC2 Instance Connect).
	pushedFor = 60 * time.Second
	// apiTimeout bounds one call, the SDK's own further attempts included. A
	// server waits for a login for two minutes.
	apiTimeout = 20 * time.Second
)

// instance is the EC2 instance to log in to by EC2 Instance Connect; zero for
// none. It is the flag --instance-connect.
type instance struct {
	id   string
	user string // "" where it was not given
}

// instanceID and osUser are the patterns of SendSSHPublicKey's arguments.
var (
	instanceID = regexp.MustCompile(`^i-[a-f0-9]{8,30}$`)
	osUser     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9@._-]{0,30}[A-Za-z0-9$_-]?$`)
)

// Set implements pflag.Value.
func (i *instance) Set(s string) error {
	id, user := s, ""
	if at := strings.LastIndex(s, "@"); at >= 0 {
		user, id = s[:at], s[at+1:]
		if !osUser.MatchString(user) {
			return fmt.Errorf("%q is not a user name", user)
		}
	}
	if !instanceID.MatchString(id) {
		return fmt.Errorf("%q is not an instance id such as i-0123456789abcdef0", id)
	}
	*i = instance{id, user}
	return nil
}

func (i *instance) String() string {
	if i.user == "" {
		return i.id
	}
	return i.user + "@" + i.id
}

// Type implements pflag.Value.
func (i *instance) Type() string { return "instance" }

// target settles where to go from the arguments and --instance-connect.
func (o *connectOptions) target(args []string) error {
	switch i := o.instance; {
	case len(args) > 0 && i.user != "":
		return usageError(fmt.Sprintf("write --instance-connect %s %s@HOST", i.id, i.user), "--instance-connect names a user and there is a HOST, which has its own")
	case len(args) > 1 && i.id != "":
		return usageError("give one HOST, or none", "--instance-connect %s is one bastion, and there are %d", i.id, len(args))
	case len(args) > 0:
		return o.several(args)
	case i.id == "":
		return usageError("ddbproxy connect dev@bastion.example.com", "no bastion given")
	case i.user == "":
		o.destinations = []string{defaultUser + "@" + i.id}
	default:
		o.destinations = []string{i.user + "@" + i.id}
	}
	return nil
}

// enter makes t log in by EC2 Instance Connect, if that was asked for.
func (i *instance) enter(t *tunnel.Client, settings *awsSettings) {
	if i.id == "" {
		return
	}
	cfg := settings.config.Copy()
	cfg.Region = settings.regions[0]
	d := &doorman{
		id: i.id, region: cfg.Region, credentials: cfg.Credentials,
		connect: ec2instanceconnect.NewFromConfig(cfg, func(o *ec2instanceconnect.Options) {
			o.BaseEndpoint = ownEndpoint("AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT")
		}),
		ec2: ec2.NewFromConfig(cfg, func(o *ec2.Options) { o.BaseEndpoint = ownEndpoint("AWS_ENDPOINT_URL_EC2") }),
	}
	t.Ephemeral = &tunnel.Ephemeral{
		Name: serviceConnect, Key: d.key, Valid: pushedFor,
		Hint: "check the user name (ubuntu on Ubuntu, admin on Debian), and that ec2-instance-connect is installed on " + i.id,
	}
	t.Locate = d.locate
}

// ownEndpoint is the endpoint for one service alone. loadAWS turns the settings
// for all services off, since they may name ourselves.
func ownEndpoint(variable string) *string {
	if url := os.Getenv(variable); url != "" {
		return &url
	}
	return nil
}

// doorman has EC2's own API open the way to one instance.
type doorman struct {
	id, region  string
	credentials aws.CredentialsProvider
	connect     *ec2instanceconnect.Client
	ec2         *ec2.Client
}

// key makes a key and has the instance accept it from user.
func (d *doorman) key(ctx context.Context, user string) (ssh.Signer, error) {
	if err := d.ready(ctx, serviceConnect); err != nil {
		return nil, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " ddbproxy"
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	_, err = d.connect.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{
		InstanceId: &d.id, InstanceOSUser: &user, SSHPublicKey: &line,
	})
	if err != nil {
		return nil, d.failed(serviceConnect, err)
	}
	return signer, nil
}

// locate finds the instance's address: the public one, else the private one.
func (d *doorman) locate(ctx context.Context) (tunnel.Location, error) {
	none := tunnel.Location{}
	if err := d.ready(ctx, serviceEC2); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	out, err := d.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{d.id}})
	if err != nil {
		return none, d.failed(serviceEC2, err)
	}
	if len(out.Reservations) == 0 || len(out.Reservations[0].Instances) == 0 {
		return none, d.absent(serviceEC2)
	}
	found := out.Reservations[0].Instances[0]
	state := ec2types.InstanceStateNameRunning
	if found.State != nil {
		state = found.State.Name
	}
	addresses := []*string{found.PublicIpAddress, found.PrivateIpAddress, found.Ipv6Address}
	for n, address := range addresses {
		switch a := aws.ToString(address); {
		case state != ec2types.InstanceStateNameRunning && state != ec2types.InstanceStateNamePending:
			return none, d.stopped(serviceEC2, string(state))
		case a != "" && n == 0:
			return tunnel.Location{Address: a}, nil
		case a != "":
			return tunnel.Location{Address: a, Hint: "this is its private address, for it has no public one: use a VPN, or for Host " + d.id +
				" in ~/.ssh/config a ProxyJump, or ProxyCommand aws ec2-instance-connect open-tunnel --instance-id %h"}, nil
		}
	}
	return none, d.pending(serviceEC2)
}
