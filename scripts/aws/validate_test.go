package aws

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// mocks answers for AWS, with ids of the forms that the provider insists on.
const mocks = `mock_provider "aws" {
  mock_data "aws_region" { defaults = { name = "%[1]s" } }
  mock_data "aws_caller_identity" { defaults = { account_id = "%[2]s" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_availability_zones" { defaults = { names = ["%[1]sa", "%[1]sb"] } }
  mock_resource "aws_instance" { defaults = { id = "%[3]s" } }
  mock_resource "aws_lb" { defaults = { dns_name = "%[4]s", arn = "arn:aws:elasticloadbalancing:%[1]s:%[2]s:loadbalancer/net/a/0123456789abcdef" } }
  mock_resource "aws_lb_target_group" { defaults = { arn = "arn:aws:elasticloadbalancing:%[1]s:%[2]s:targetgroup/a/0123456789abcdef" } }
  mock_resource "aws_launch_template" { defaults = { id = "lt-0123456789abcdef0", latest_version = 1 } }
  mock_resource "aws_iam_policy" { defaults = { arn = "arn:aws:iam::%[2]s:policy/a" } }
  override_resource {
    target = aws_vpc_endpoint.gateway
    values = { id = "%[5]s" }
  }
  override_resource {
    target = aws_vpc_endpoint.private_link
    values = { id = "%[6]s", dns_entry = [{ dns_name = "%[7]s", hosted_zone_id = "Z0" }] }
  }
}
`

// Terraform itself applies the module with all options, to the AWS provider's
// schemas and a pretended AWS. Neither can be installed as a package: where a
// directory has the provider (terraform init -plugin-dir), DDBPROXY_TERRAFORM_PLUGINS
// names it.
func TestTerraformAppliesTheModule(t *testing.T) {
	terraformProgram, err := exec.LookPath("terraform")
	plugins := os.Getenv("DDBPROXY_TERRAFORM_PLUGINS")
	if err != nil || plugins == "" {
		t.Skip("no terraform here, or no DDBPROXY_TERRAFORM_PLUGINS with its AWS provider")
	}
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(terraformProgram, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+os.DevNull, "CHECKPOINT_DISABLE=1", "AWS_EC2_METADATA_DISABLED=true")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("terraform %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	files, err := filepath.Glob("terraform/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("fmt", "-check", "-diff")
	run("init", "-backend=false", "-input=false", "-no-color", "-plugin-dir="+plugins)
	run("validate", "-no-color")

	write := func(i int, kind, body string, o options) {
		var b strings.Builder
		fmt.Fprintf(&b, mocks, region, account, bastion, nlb, gateway, link, linkName(o.link))
		fmt.Fprintf(&b, "run \"run\" {\n  command = %s\n  variables {\n", kind)
		given := o.terraform()
		for _, name := range slices.Sorted(maps.Keys(given)) {
			fmt.Fprintf(&b, "    %s = %s\n", name, literal(t, given[name]))
		}
		fmt.Fprintf(&b, "  }\n%s}\n", body)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s%02d.tftest.hcl", kind, i)), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, o := range allOptions {
		// The outputs are those that the other tests hold against the template's.
		var body strings.Builder
		outputs := fromTerraform(t, o).Outputs
		for _, name := range []string{"connect", "known_hosts", "instance_id", "endpoint_ids"} {
			want := cty.NullVal(cty.String)
			if text, ok := outputs[name]; ok {
				want = cty.StringVal(text)
			}
			fmt.Fprintf(&body, "  assert {\n    condition     = output.%[1]s == %[2]s\n    error_message = \"%[1]s is not as the tests evaluate it\"\n  }\n", name, literal(t, want))
		}
		write(i, "apply", body.String(), o)
	}
	for i, tt := range refused {
		write(i, "plan", "  expect_failures = [var."+tt.variable+"]\n", tt.o)
	}
	out := run("test", "-no-color")
	if want := fmt.Sprintf("Success! %d passed, 0 failed.", len(allOptions)+len(refused)); !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
}

// literal is a value as HCL has it, which is as JSON has it.
func literal(t *testing.T, v cty.Value) string {
	t.Helper()
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
