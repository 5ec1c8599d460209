package aws

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// template is a CloudFormation template with its parameters, evaluated as far as
// ours needs it. What it does not know fails the test.
type template struct {
	t          *testing.T
	parameters map[string]any
	conditions map[string]yaml.Node
	resources  map[string]yaml.Node
}

// noValue is AWS::NoValue: what has it is left out.
type noValue struct{}

// document is the template as it is written.
type document struct {
	Version     string               `yaml:"AWSTemplateFormatVersion"`
	Description string               `yaml:"Description"`
	Parameters  map[string]parameter `yaml:"Parameters"`
	Rules       map[string]struct {
		RuleCondition yaml.Node `yaml:"RuleCondition"`
		Assertions    []struct {
			Assert            yaml.Node `yaml:"Assert"`
			AssertDescription string    `yaml:"AssertDescription"`
		} `yaml:"Assertions"`
	} `yaml:"Rules"`
	Conditions map[string]yaml.Node `yaml:"Conditions"`
	Resources  map[string]yaml.Node `yaml:"Resources"`
	Outputs    map[string]yaml.Node `yaml:"Outputs"`
}

type parameter struct {
	Type     string  `yaml:"Type"`
	Default  *string `yaml:"Default"`
	Pattern  string  `yaml:"AllowedPattern"`
	MinValue int     `yaml:"MinValue"`
	MaxValue int     `yaml:"MaxValue"`
}

// accepts tells whether the parameter may have a value; of a list, each of its.
func (p parameter) accepts(value string) bool {
	if p.Type == "Number" {
		n, err := strconv.Atoi(value)
		return err == nil && p.MinValue <= n && n <= p.MaxValue
	}
	values := []string{value}
	if p.Type == "CommaDelimitedList" {
		values = strings.Split(value, ",")
	}
	pattern := regexp.MustCompile(`\A(?:` + p.Pattern + `)\z`)
	return p.Pattern == "" || !slices.ContainsFunc(values, func(v string) bool { return !pattern.MatchString(v) })
}

// readTemplate gives the template with o as its parameters, and why CloudFormation
// would refuse them.
func readTemplate(t *testing.T, o options) (document, template, []string) {
	t.Helper()
	text, err := os.ReadFile("ddbproxy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	c := template{t, map[string]any{
		"AWS::Region": region, "AWS::AccountId": account, "AWS::Partition": "aws", "AWS::NoValue": noValue{}, "AWS::StackName": stack,
		"AWS::StackId": "arn:aws:cloudformation:" + region + ":" + account + ":stack/" + stack + "/01234567-89ab-cdef-0123-0a1b2c3d4e5f",
	}, d.Conditions, d.Resources}
	var refusals []string
	given := o.cloudFormation()
	for name, p := range d.Parameters {
		value, ok := given[name]
		if !ok && p.Default != nil {
			value, ok = *p.Default, true
		}
		if !ok {
			t.Fatalf("parameter %s has no value", name)
		}
		delete(given, name)
		if !p.accepts(value) {
			refusals = append(refusals, "parameter "+name)
		}
		c.parameters[name] = value
		switch {
		case p.Type == "CommaDelimitedList":
			c.parameters[name] = anySlice(strings.Split(value, ","))
		case strings.HasPrefix(p.Type, "AWS::SSM::Parameter::Value"):
			c.parameters[name] = "value of " + value
		}
	}
	if len(given) > 0 {
		t.Fatalf("no such parameters: %v", given)
	}
	for _, rule := range d.Rules {
		if !c.value(&rule.RuleCondition).(bool) {
			continue
		}
		for _, a := range rule.Assertions {
			if !c.value(&a.Assert).(bool) {
				refusals = append(refusals, a.AssertDescription)
			}
		}
	}
	return d, c, refusals
}

// cloudFormation gives the resources that the template makes with o, and its
// outputs.
func cloudFormation(t *testing.T, o options) ([]resource, map[string]string) {
	t.Helper()
	d, c, refusals := readTemplate(t, o)
	if len(refusals) > 0 {
		t.Fatalf("CloudFormation would refuse %q", refusals)
	}
	var made []resource
	for name, node := range d.Resources {
		if c.exists(&node) {
			properties, _ := c.value(field(&node, "Properties")).(map[string]any)
			made = append(made, resource{field(&node, "Type").Value, name, properties, c.after(&node)})
		}
	}
	outputs := map[string]string{}
	for name, node := range d.Outputs {
		if c.exists(&node) {
			outputs[snake(name)] = fmt.Sprint(c.value(field(&node, "Value")))
		}
	}
	return made, outputs
}

// after is what the resource depends on, or refers to in its metadata.
func (c *template) after(node *yaml.Node) []any {
	var all []any
	if on := field(node, "DependsOn"); on != nil {
		all = append(all, c.ref(on.Value))
	}
	if metadata := field(node, "Metadata"); metadata != nil {
		all = append(all, c.value(field(metadata, "After")).([]any)...)
	}
	return all
}

func field(node *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}
	return nil
}

// exists evaluates the condition of a resource or output.
func (c *template) exists(node *yaml.Node) bool {
	name := field(node, "Condition")
	return name == nil || c.condition(name.Value)
}

func (c *template) condition(name string) bool {
	node, ok := c.conditions[name]
	if !ok {
		c.t.Fatalf("there is no condition %s", name)
	}
	return c.value(&node).(bool)
}

// value evaluates a node with CloudFormation's functions in their short form.
func (c *template) value(node *yaml.Node) any {
	if node == nil {
		return nil
	}
	args := node.Content
	switch node.Tag {
	case "!Ref":
		return c.ref(node.Value)
	case "!GetAtt":
		return c.attribute(node.Value)
	case "!If":
		if c.condition(args[0].Value) {
			return c.value(args[1])
		}
		return c.value(args[2])
	case "!Condition":
		return c.condition(node.Value)
	case "!And":
		return !slices.ContainsFunc(args, func(a *yaml.Node) bool { return !c.value(a).(bool) })
	case "!Join":
		var texts []string
		for _, v := range c.value(args[1]).([]any) {
			texts = append(texts, v.(string))
		}
		return strings.Join(texts, args[0].Value)
	case "!GetAZs":
		return anySlice(zones)
	case "!Cidr":
		var n, bits int
		if err := errors.Join(args[1].Decode(&n), args[2].Decode(&bits)); err != nil {
			c.t.Fatal(err)
		}
		var all []any
		for i := range n {
			all = append(all, part(c.value(args[0]).(string), 32-bits, i))
		}
		return all
	case "!Equals":
		return c.value(args[0]) == c.value(args[1])
	case "!Not":
		return !c.value(args[0]).(bool)
	case "!Select":
		var i int
		if err := args[0].Decode(&i); err != nil {
			c.t.Fatal(err)
		}
		return c.value(args[1]).([]any)[i]
	case "!Split":
		return anySlice(strings.Split(c.value(args[1]).(string), args[0].Value))
	case "!Sub":
		if node.Kind == yaml.SequenceNode {
			own, _ := c.value(args[1]).(map[string]any)
			return c.sub(args[0].Value, own)
		}
		return c.sub(node.Value, nil)
	}
	switch {
	case strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!"):
		c.t.Fatalf("line %d: the function %s is not known here", node.Line, node.Tag)
	case node.Kind == yaml.MappingNode:
		all := map[string]any{}
		for i := 0; i+1 < len(args); i += 2 {
			if v := c.value(args[i+1]); v != (noValue{}) {
				all[args[i].Value] = v
			}
		}
		if text, ok := all["Fn::Base64"]; ok { // EC2's form of user data
			return text
		}
		if search, ok := all["Fn::Contains"].([]any); ok {
			return slices.Contains(search[0].([]any), search[1])
		}
		return all
	case node.Kind == yaml.SequenceNode:
		all := []any{}
		for _, a := range args {
			all = append(all, c.value(a))
		}
		return slices.DeleteFunc(all, func(v any) bool { _, none := v.(noValue); return none })
	}
	var scalar any
	if err := node.Decode(&scalar); err != nil {
		c.t.Fatal(err)
	}
	return scalar
}

func (c *template) ref(name string) any {
	if v, ok := c.parameters[name]; ok {
		return v
	}
	node, ok := c.resources[name]
	if !ok || !c.exists(&node) {
		c.t.Fatalf("a reference to %s, which is not made", name)
	}
	return id(name)
}

func (c *template) attribute(path string) any {
	name, attribute, _ := strings.Cut(path, ".")
	switch itself := c.ref(name); attribute {
	case "DnsEntries":
		return []any{"Z0:" + linkName(c.ref("PrivateLink").(string))}
	case "DNSName":
		return nlb
	default:
		return fmt.Sprint(itself, " ", attribute)
	}
}

func (c *template) sub(text string, own map[string]any) string {
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			return text
		}
		name, after, _ := strings.Cut(rest, "}")
		v, ok := own[name]
		if _, parameter := c.parameters[name]; !ok && !parameter && strings.Contains(name, ".") {
			v = c.attribute(name)
		} else if !ok {
			v = c.ref(name)
		}
		text = before + fmt.Sprint(v) + after
	}
}

func anySlice(texts []string) []any {
	all := make([]any, len(texts))
	for i, s := range texts {
		all[i] = s
	}
	return all
}

// part is the i-th of the equal parts of a network that have that many bits.
func part(network string, bits, i int) string {
	address := netip.MustParsePrefix(network).Addr().As4()
	n := uint32(address[0])<<24 | uint32(address[1])<<16 | uint32(address[2])<<8 | uint32(address[3])
	n += uint32(i) << (32 - bits)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), bits).String()
}
