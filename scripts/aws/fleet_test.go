package aws

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/ddbproxy/ddbproxy/internal/policy"
)

// What several bastions are made of, in so many words: that both languages make the
// same is not enough.
func TestSeveralBastionsStandBehindOneName(t *testing.T) {
	always := []string{
		"metadata required 1",
		"health TCP traffic-port 10 2 2",
		"leaving 60 cut true address kept true",
		"listener balancer TCP 22 forward targets",
		"group of 1 [targets] ELB 300",
	}
	for _, tt := range []struct {
		o    options
		want []string
	}{
		{fleet(options{}), []string{
			"subnet-made vpc-made 10.86.0.0/27 eu-west-1a", "subnet-made-2 vpc-made 10.86.0.32/27 eu-west-1b",
			"association subnet-made rtb-made", "association subnet-made-2 rtb-made",
			"balancer network internal false 2 [subnet-made subnet-made-2] 1 [sg-balancer] cross-zone true",
			"group in 2 [subnet-made subnet-made-2] 3 3 10", "targets vpc-made instance TCP 2222",
			"network true 1 [sg-bastion]", "group after association listener route", "balancer after igw-made",
		}},
		{fleet(options{existing: true, private: true, internal: true}), []string{
			"balancer network internal true 3 [subnet-a subnet-b subnet-c] 1 [sg-balancer] cross-zone true",
			"group in 3 [subnet-a subnet-b subnet-c] 3 3 10", "targets vpc-given instance TCP 2222",
			"network false 1 [sg-bastion]", "group after listener", "balancer after ",
		}},
		{fleet(options{existing: true, lbSubnets: true, bastions: 3}), []string{
			"balancer network internal false 2 [subnet-x subnet-y] 1 [sg-balancer] cross-zone true",
			"group in 3 [subnet-a subnet-b subnet-c] 3 3 10",
		}},
	} {
		facts := fromCloudFormation(t, tt.o).Facts
		for _, want := range append(tt.want, always...) {
			if !slices.Contains(facts, want) {
				t.Errorf("no %q in\n%s", want, strings.Join(facts, "\n"))
			}
		}
		if slices.ContainsFunc(facts, func(s string) bool { return strings.HasPrefix(s, "bastion in") }) {
			t.Errorf("there is a bastion beside the group's:\n%s", strings.Join(facts, "\n"))
		}
	}
	// One bastion has nothing of this.
	for _, fact := range fromTerraform(t, options{relay: relayURL}).Facts {
		if regexp.MustCompile("^(group|balancer|targets|listener|sg-balancer|subnet-made-2)").MatchString(fact) {
			t.Errorf("one bastion has %q", fact)
		}
	}
}

// What the module says by arguments of its own, the template says beside the
// resources' properties: the machines are replaced one by one, each when the one
// before has booted.
func TestBastionsAreReplacedOneByOne(t *testing.T) {
	d, c, _ := readTemplate(t, fleet(options{}))
	group := d.Resources["BastionGroup"]
	update := resource{properties: c.value(field(&group, "UpdatePolicy")).(map[string]any)}
	created := resource{properties: c.value(field(&group, "CreationPolicy")).(map[string]any)}
	rolling := "AutoScalingRollingUpdate"
	if update.text(rolling, "MinInstancesInService") != "3" || update.text(rolling, "MaxBatchSize") != "1" || update.text(rolling, "WaitOnResourceSignals") != "true" ||
		created.text("ResourceSignal", "Count") != "3" {
		t.Errorf("update %v, creation %v", update.properties, created.properties)
	}
	if script := bootScript(t, fleet(options{})); !strings.Contains(script, "--resource BastionGroup") {
		t.Error("the machines signal to another resource")
	}
	made, _ := terraform(t, fleet(options{}))
	for _, r := range made {
		if r.kind == "aws_autoscaling_group" && (r.text("wait_for_elb_capacity") != "3" ||
			r.text("instance_refresh", "preferences", "min_healthy_percentage") != "100" || r.text("instance_refresh", "preferences", "max_healthy_percentage") != "110") {
			t.Errorf("the module's group: %v", r.properties)
		}
	}
}

// The names that CloudFormation makes have capitals, and ssh asks known_hosts for
// names in lower case.
func TestNameOfTheLoadBalancerHasNoCapitals(t *testing.T) {
	names := map[string]bool{}
	for _, o := range []options{fleet(options{}), fleet(options{internal: true})} {
		made, _ := cloudFormation(t, o)
		for _, r := range made {
			if r.kind == "AWS::ElasticLoadBalancingV2::LoadBalancer" {
				names[r.text("Name")] = true
			}
		}
	}
	if !names["ddbproxy-ext-0a1b2c3d4e5f"] || !names["ddbproxy-int-0a1b2c3d4e5f"] { // of 32 characters at most
		t.Errorf("the names are %v", names)
	}
}

func TestKnownHostsHasTheSharedKey(t *testing.T) {
	for _, e := range []environment{fromCloudFormation(t, fleet(options{})), fromTerraform(t, fleet(options{}))} {
		_, hosts, key, _, rest, err := ssh.ParseKnownHosts([]byte(e.Outputs["known_hosts"]))
		if err != nil || len(rest) > 0 || !slices.Equal(hosts, []string{nlb}) || strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) != hostKey {
			t.Errorf("known_hosts: %q: %v", e.Outputs["known_hosts"], err)
		}
	}
}

func TestBastionsReadTheirHostKeyOnly(t *testing.T) {
	for _, o := range allOptions {
		text := fromTerraform(t, o).Policies["role HostKey"]
		if (text != "") != (o.bastions > 1) {
			t.Errorf("%s: the policy is %q", o.name, text)
		}
		if text == "" {
			continue
		}
		p, err := policy.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			action, resource string
			want             policy.Decision
		}{
			{"secretsmanager:GetSecretValue", secret, policy.Allowed},
			{"secretsmanager:GetSecretValue", strings.Replace(secret, "host-key", "other", 1), policy.NotAllowed},
			{"secretsmanager:PutSecretValue", secret, policy.NotAllowed},
			{"dynamodb:GetItem", "arn:aws:dynamodb:" + region + ":" + account + ":table/t", policy.NotAllowed},
		} {
			if got := policy.Decide([]*policy.Policy{p}, policy.Request{Action: c.action, Resource: c.resource}); got.Decision != c.want {
				t.Errorf("%s of %s: %v, want %s", c.action, c.resource, got, c.want)
			}
		}
	}
}

// refused are options that neither language takes.
var refused = []struct {
	name     string
	o        options
	rule     string // what CloudFormation says
	variable string // what Terraform refuses
}{
	{"several without a relay", with(func(o *options) { o.relay = "" }), "Several bastions need RelayUrl", "bastions"},
	{"several without a secret", with(func(o *options) { o.secret = "" }), "Several bastions need HostKeySecret", "host_key_secret"},
	{"several without the public key", with(func(o *options) { o.hostKey = "" }), "Several bastions need HostKey", "host_key"},
	{"several without developers", with(func(o *options) { o.keys = nil }), "Several bastions need DeveloperKeys", "developer_keys"},
	{"several without SSM", with(func(o *options) { o.noSSM = true }), "RelayUrl needs Ssm", "relay_url"},
	{"too many", with(func(o *options) { o.bastions = 10 }), "parameter Bastions", "bastions"},
	{"one with developers' keys", options{keys: []string{hostKey}}, "HostKeySecret, HostKey and DeveloperKeys are for several", "developer_keys"},
	{"one with a shared key", options{secret: secret, relay: relayURL}, "HostKeySecret, HostKey and DeveloperKeys are for several", "host_key_secret"},
	{"a key that ends the quotes", with(func(o *options) { o.keys = []string{hostKey, hostKey + " '; id; '"} }), "parameter DeveloperKeys", "developer_keys"},
}

func with(change func(*options)) options {
	o := fleet(options{})
	change(&o)
	return o
}

func TestOptionsThatDoNotFitAreRefused(t *testing.T) {
	for _, tt := range refused {
		_, _, rules := readTemplate(t, tt.o)
		_, variables := readModule(t, tt.o)
		if !slices.ContainsFunc(rules, func(s string) bool { return strings.HasPrefix(s, tt.rule) }) {
			t.Errorf("%s: CloudFormation refuses %q, want %q", tt.name, rules, tt.rule)
		}
		if !slices.Contains(variables, tt.variable) {
			t.Errorf("%s: Terraform refuses %q, want %q", tt.name, variables, tt.variable)
		}
	}
}
