package aws

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// module is a Terraform module with its variables, evaluated as far as ours needs
// it. The provider's schemas are not known: a wrong name of an argument is found
// only where the comparison with the template misses it.
type module struct {
	t       *testing.T
	blocks  []*hclsyntax.Block
	context *hcl.EvalContext
	locals  map[string]cty.Value
}

// oneOf is Terraform's one().
var oneOf = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		for _, v := range args[0].AsValueSlice() {
			return v, nil
		}
		return cty.NullVal(cty.String), nil
	},
})

var toSet = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Set(cty.String)),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.SetVal(args[0].AsValueSlice()), nil
	},
})

// templateFile is Terraform's templatefile().
var templateFile = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		name := args[0].AsString()
		text, err := os.ReadFile(name)
		if err != nil {
			return cty.NilVal, err
		}
		template, diags := hclsyntax.ParseTemplate(text, name, hcl.InitialPos)
		if diags.HasErrors() {
			return cty.NilVal, diags
		}
		v, diags := template.Value(&hcl.EvalContext{Variables: args[1].AsValueMap()})
		if diags.HasErrors() {
			return cty.NilVal, diags
		}
		return v, nil
	},
})

// Without schemas a value that is encoded for EC2 is compared as it was.
var asItIs = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return args[0], nil },
})

// allTrue is Terraform's alltrue().
var allTrue = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.BoolVal(!slices.ContainsFunc(args[0].AsValueSlice(), cty.Value.False)), nil
	},
})

// cidrSubnet is Terraform's cidrsubnet(), for IPv4.
var cidrSubnet = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "network", Type: cty.String}, {Name: "more", Type: cty.Number}, {Name: "number", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		network, err := netip.ParsePrefix(args[0].AsString())
		if err != nil {
			return cty.NilVal, err
		}
		more, _ := args[1].AsBigFloat().Int64()
		i, _ := args[2].AsBigFloat().Int64()
		return cty.StringVal(part(network.String(), network.Bits()+int(more), int(i))), nil
	},
})

// readModule gives the module with o as its variables, and which of them Terraform
// would refuse.
func readModule(t *testing.T, o options) (*module, []string) {
	t.Helper()
	files, err := filepath.Glob("terraform/*.tf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no module: %v", err)
	}
	m := &module{t: t, locals: map[string]cty.Value{}}
	parser := hclparse.NewParser()
	for _, name := range files {
		f, diags := parser.ParseHCLFile(name)
		m.must(diags)
		m.blocks = append(m.blocks, f.Body.(*hclsyntax.Body).Blocks...)
	}
	m.context = &hcl.EvalContext{
		Functions: map[string]function.Function{
			"jsonencode": stdlib.JSONEncodeFunc, "concat": stdlib.ConcatFunc, "join": stdlib.JoinFunc,
			"contains": stdlib.ContainsFunc, "length": stdlib.LengthFunc, "one": oneOf, "toset": toSet,
			"can": tryfunc.CanFunc, "regex": stdlib.RegexFunc, "templatefile": templateFile,
			"alltrue": allTrue, "base64encode": asItIs, "cidrsubnet": cidrSubnet, "split": stdlib.SplitFunc, "tonumber": stdlib.MakeToFunc(cty.Number),
		},
		Variables: map[string]cty.Value{
			"data": fakeData(), "path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal("terraform")}),
		},
	}
	return m, m.setVariables(o.terraform())
}

// terraform gives the resources that the module makes with o, and its outputs.
func terraform(t *testing.T, o options) ([]resource, map[string]string) {
	t.Helper()
	m, refused := readModule(t, o)
	if len(refused) > 0 {
		t.Fatalf("Terraform would refuse %q", refused)
	}
	// Locals and the resources they speak of depend on each other: what can be
	// evaluated is, until all is.
	for range 10 {
		m.setLocals(false)
		m.setResources()
	}
	m.setLocals(true)

	var made []resource
	outputs := map[string]string{}
	for _, b := range m.blocks {
		switch b.Type {
		case "resource":
			for i, each := range m.instances(b) {
				made = append(made, resource{kind: b.Labels[0], name: b.Labels[1] + number(b, i), properties: m.body(b.Body, each)})
			}
		case "output":
			if v := m.value(b.Body.Attributes["value"].Expr, m.context); v != nil {
				outputs[b.Labels[0]] = fmt.Sprint(v)
			}
		case "data":
			m.body(b.Body, m.context)
		}
	}
	return made, outputs
}

func (m *module) must(diags hcl.Diagnostics) {
	m.t.Helper()
	if diags.HasErrors() {
		m.t.Fatal(diags)
	}
}

// number is the index of a resource's i-th instance, as id has it.
func number(b *hclsyntax.Block, i int) string {
	if i == 0 || b.Body.Attributes["count"] == nil {
		return ""
	}
	return fmt.Sprintf("[%d]", i)
}

// setVariables gives the names of those that are not valid.
func (m *module) setVariables(given map[string]cty.Value) (refused []string) {
	all := map[string]cty.Value{}
	for _, b := range m.blocks {
		if b.Type != "variable" {
			continue
		}
		name := b.Labels[0]
		v, ok := given[name]
		if !ok {
			if b.Body.Attributes["default"] == nil {
				m.t.Fatalf("variable %s has no value", name)
			}
			var diags hcl.Diagnostics
			v, diags = b.Body.Attributes["default"].Expr.Value(nil)
			m.must(diags)
		}
		delete(given, name)
		all[name] = v
	}
	if len(given) > 0 {
		m.t.Fatalf("no such variables: %v", given)
	}
	m.context.Variables["var"] = cty.ObjectVal(all)
	for _, b := range m.blocks {
		for _, inner := range b.Body.Blocks {
			if inner.Type == "validation" && m.value(inner.Body.Attributes["condition"].Expr, m.context) != true {
				refused = append(refused, b.Labels[0])
			}
		}
	}
	return refused
}

func (m *module) setLocals(all bool) {
	for _, b := range m.blocks {
		if b.Type != "locals" {
			continue
		}
		for name, a := range b.Body.Attributes {
			v, diags := a.Expr.Value(m.context)
			if all {
				m.must(diags)
			}
			if !diags.HasErrors() {
				m.locals[name] = v
			}
		}
	}
	m.context.Variables["local"] = cty.ObjectVal(m.locals)
}

// setResources makes the objects that expressions refer to, each with the
// attributes that ours refer to.
func (m *module) setResources() {
	types := map[string]map[string]cty.Value{}
	for _, b := range m.blocks {
		if b.Type != "resource" {
			continue
		}
		kind, name := b.Labels[0], b.Labels[1]
		if types[kind] == nil {
			types[kind] = map[string]cty.Value{}
		}
		link := m.context.Variables["var"].GetAttr("private_link").AsString()
		instance := func(i int) cty.Value {
			itself := id(kind + "." + name + number(b, i))
			return cty.ObjectVal(map[string]cty.Value{
				"id": cty.StringVal(itself), "arn": cty.StringVal(itself), "name": cty.StringVal(itself),
				"dns_entry":      cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"dns_name": cty.StringVal(linkName(link))})}),
				"dns_name":       cty.StringVal(nlb),
				"latest_version": cty.StringVal(itself + " LatestVersionNumber"),
			})
		}
		object := instance(0)
		if a := b.Body.Attributes["count"]; a != nil {
			n, diags := a.Expr.Value(m.context)
			if diags.HasErrors() {
				continue
			}
			count, _ := n.AsBigFloat().Int64()
			var all []cty.Value
			for i := range int(count) {
				all = append(all, instance(i))
			}
			object = cty.TupleVal(all)
		}
		types[kind][name] = object
	}
	for kind, names := range types {
		m.context.Variables[kind] = cty.ObjectVal(names)
	}
}

// instances gives a context for each of a resource's instances.
func (m *module) instances(b *hclsyntax.Block) (all []*hcl.EvalContext) {
	if a := b.Body.Attributes["count"]; a != nil {
		for i := range int(m.value(a.Expr, m.context).(float64)) {
			one := m.context.NewChild()
			one.Variables = map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(int64(i))})}
			all = append(all, one)
		}
		return all
	}
	a := b.Body.Attributes["for_each"]
	if a == nil {
		return []*hcl.EvalContext{m.context}
	}
	set, diags := a.Expr.Value(m.context)
	m.must(diags)
	for _, v := range set.AsValueSlice() {
		each := m.context.NewChild()
		each.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": v, "value": v})}
		all = append(all, each)
	}
	return all
}

// body evaluates the arguments of a block and of those in it.
func (m *module) body(body *hclsyntax.Body, context *hcl.EvalContext) map[string]any {
	all := map[string]any{}
	for name, a := range body.Attributes {
		if name == "count" || name == "for_each" {
			continue
		}
		if name == "depends_on" {
			all[name] = m.ids(a.Expr)
			continue
		}
		if v := m.value(a.Expr, context); v != nil {
			all[name] = v
		}
	}
	for _, b := range body.Blocks {
		if b.Type != "lifecycle" {
			all[b.Type] = m.body(b.Body, context)
		}
	}
	return all
}

// ids are those of the resources in a depends_on, as far as they are made.
func (m *module) ids(expr hcl.Expression) []any {
	all := []any{}
	for _, to := range expr.Variables() {
		kind, name := to.RootName(), to[1].(hcl.TraverseAttr).Name
		made := m.context.Variables[kind].GetAttr(name)
		if !made.Type().IsTupleType() || made.LengthInt() > 0 {
			all = append(all, id(kind+"."+name))
		}
	}
	return all
}

// value evaluates an expression as what its JSON form decodes to.
func (m *module) value(expr hcl.Expression, context *hcl.EvalContext) any {
	m.t.Helper()
	v, diags := expr.Value(context)
	m.must(diags)
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		m.t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(text, &decoded); err != nil {
		m.t.Fatal(err)
	}
	return decoded
}

func fakeData() cty.Value {
	object := func(fields map[string]string) cty.Value {
		values := map[string]cty.Value{}
		for name, v := range fields {
			values[name] = cty.StringVal(v)
		}
		return cty.ObjectVal(values)
	}
	named := func(name string, v cty.Value) cty.Value { return cty.ObjectVal(map[string]cty.Value{name: v}) }
	return cty.ObjectVal(map[string]cty.Value{
		"aws_region":                  named("current", object(map[string]string{"name": region})),
		"aws_availability_zones":      named("available", cty.ObjectVal(map[string]cty.Value{"names": cty.ListVal([]cty.Value{cty.StringVal(zones[0]), cty.StringVal(zones[1])})})),
		"aws_caller_identity":         named("current", object(map[string]string{"account_id": account})),
		"aws_partition":               named("current", object(map[string]string{"partition": "aws"})),
		"aws_ec2_managed_prefix_list": named("dynamodb", object(map[string]string{"id": prefixList})),
		"aws_ssm_parameter":           named("ami", object(map[string]string{"insecure_value": "value of /aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"})),
	})
}
