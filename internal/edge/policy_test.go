package edge

import (
	"testing"

	"github.com/ddbproxy/ddbproxy/internal/policy"
)

// TestPolicyIsTheOneThatIsAdvised: what the edge denies is what the policy denies
// that "ddbproxy policy --deny" prints. Evaluating that for each request would cost
// 10 µs, which benchmarks would see, so the edge compares ids by itself.
func TestPolicyIsTheOneThatIsAdvised(t *testing.T) {
	t.Parallel()
	user := User{Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/dev"}
	advised := []*policy.Policy{policy.Deny(policy.Scope{VPCEs: []string{vpce}})}
	for _, op := range []string{"GetItem", "ListTables", "DescribeEndpoints"} {
		for _, from := range []string{vpce, "vpce-another", ""} {
			body := []byte(`{"TableName":"music"}`)
			context := policy.Context{"aws:viaawsservice": {"false"}, "aws:sourcevpce": nil}
			if from != "" {
				context["aws:sourcevpce"] = []string{from}
			}
			decided := policy.Decide(advised, policy.Request{
				Action: "dynamodb:" + op, Resource: resource("eu-west-1", user.Account, op, body), Context: context,
			})
			want := decided.Decision == policy.Denied
			if op == "DescribeEndpoints" && from == "" {
				want = false // AWS does not ask
			}
			if got := (Policy{SourceVpce: vpce}).check("eu-west-1", user, from, op, body) != nil; got != want {
				t.Errorf("%s from %q: denied is %t, and by the policy %s", op, from, got, decided.Decision)
			}
		}
	}
}
