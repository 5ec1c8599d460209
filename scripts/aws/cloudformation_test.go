package aws

import (
	"fmt"
	"os"
	"slices"
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

// cloudFormation gives the resources that the template makes with o, and its
// outputs.
func cloudFormation(t *testing.T, o options) ([]resource, map[string]string) {
	t.Helper()
	text, err := os.ReadFile("ddbproxy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Version     string `yaml:"AWSTemplateFormatVersion"`
		Description string `yaml:"Description"`
		Parameters  map[string]struct {
			Type    string  `yaml:"Type"`
			Default *string `yaml:"Default"`
		} `yaml:"Parameters"`
		Rules      yaml.Node            `yaml:"Rules"` // CloudFormation's own checks of parameters
		Conditions map[string]yaml.Node `yaml:"Conditions"`
		Resources  map[string]yaml.Node `yaml:"Resources"`
		Outputs    map[string]yaml.Node `yaml:"Outputs"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	c := template{t, map[string]any{
		"AWS::Region": region, "AWS::AccountId": account, "AWS::Partition": "aws", "AWS::NoValue": noValue{},
	}, document.Conditions, document.Resources}
	given := o.cloudFormation()
	for name, p := range document.Parameters {
		value, ok := given[name]
		if !ok && p.Default != nil {
			value, ok = *p.Default, true
		}
		if !ok {
			t.Fatalf("parameter %s has no value", name)
		}
		delete(given, name)
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
	var made []resource
	for name, node := range document.Resources {
		if c.exists(&node) {
			properties, _ := c.value(field(&node, "Properties")).(map[string]any)
			made = append(made, resource{field(&node, "Type").Value, name, properties})
		}
	}
	outputs := map[string]string{}
	for name, node := range document.Outputs {
		if c.exists(&node) {
			outputs[snake(name)] = fmt.Sprint(c.value(field(&node, "Value")))
		}
	}
	return made, outputs
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
		name, attribute, _ := strings.Cut(node.Value, ".")
		if attribute == "DnsEntries" {
			return []any{"Z0:" + linkName(c.ref("PrivateLink").(string))}
		}
		return fmt.Sprint(c.ref(name), " ", attribute)
	case "!If":
		if c.condition(args[0].Value) {
			return c.value(args[1])
		}
		return c.value(args[2])
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

func (c *template) sub(text string, own map[string]any) string {
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			return text
		}
		name, after, _ := strings.Cut(rest, "}")
		v, ok := own[name]
		if !ok {
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
