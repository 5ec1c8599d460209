package aws

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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

// terraform gives the resources that the module makes with o, and its outputs.
func terraform(t *testing.T, o options) ([]resource, map[string]string) {
	t.Helper()
	files, err := filepath.Glob("terraform/*.tf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no module: %v", err)
	}
	m := module{t: t, locals: map[string]cty.Value{}}
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
		},
		Variables: map[string]cty.Value{
			"data": fakeData(), "path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal("terraform")}),
		},
	}
	m.setVariables(o.terraform())
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
			for _, each := range m.instances(b) {
				made = append(made, resource{b.Labels[0], b.Labels[1], m.body(b.Body, each)})
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

func (m *module) setVariables(given map[string]cty.Value) {
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
				m.t.Fatalf("variable %s is not valid", b.Labels[0])
			}
		}
	}
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
		itself := cty.StringVal(id(kind + "." + name))
		link := m.context.Variables["var"].GetAttr("private_link").AsString()
		object := cty.ObjectVal(map[string]cty.Value{
			"id": itself, "arn": itself, "name": itself,
			"dns_entry": cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"dns_name": cty.StringVal(linkName(link))})}),
		})
		if a := b.Body.Attributes["count"]; a != nil {
			n, diags := a.Expr.Value(m.context)
			if diags.HasErrors() {
				continue
			}
			if n.RawEquals(cty.NumberIntVal(0)) {
				object = cty.EmptyTupleVal
			} else {
				object = cty.TupleVal([]cty.Value{object})
			}
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
		if m.value(a.Expr, m.context) == float64(0) {
			return nil
		}
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
		"aws_caller_identity":         named("current", object(map[string]string{"account_id": account})),
		"aws_partition":               named("current", object(map[string]string{"partition": "aws"})),
		"aws_ec2_managed_prefix_list": named("dynamodb", object(map[string]string{"id": prefixList})),
		"aws_ssm_parameter":           named("ami", object(map[string]string{"insecure_value": "value of /aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"})),
	})
}
