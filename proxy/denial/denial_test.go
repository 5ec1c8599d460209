package denial

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/smithy-go/encoding/cbor"
)

const (
	user  = "arn:aws:iam::123456789012:user/dev"
	role  = "arn:aws:sts::123456789012:assumed-role/dev/session@example.com"
	table = "arn:aws:dynamodb:eu-west-1:123456789012:table/music"
	said  = "User: " + user + " is not authorized to perform: dynamodb:GetItem on resource: " + table
)

// The wordings are those of the IAM User Guide ("Troubleshoot access denied error messages") and of the S3 User Guide
// ("Troubleshoot access denied (403 Forbidden) errors"), which has one for each type of policy.
func TestEachPolicyIsToldByAWSsOwnWords(t *testing.T) {
	t.Parallel()
	about := Denial{Principal: user, Action: "dynamodb:GetItem", Resource: table}
	with := func(p Policy, explicit bool, arn string) Denial {
		d := about
		d.Policy, d.Explicit, d.PolicyARN = p, explicit, arn
		return d
	}
	for _, tt := range []struct {
		message string
		want    Denial
		cause   Cause
	}{
		{said + " because no VPC endpoint policy allows the dynamodb:GetItem action", with(VPCEndpoint, false, ""), CauseEndpoint},
		{said + " with an explicit deny in a VPC endpoint policy", with(VPCEndpoint, true, ""), CauseEndpoint},
		{said + " because no identity-based policy allows the dynamodb:GetItem action", with(Identity, false, ""), CauseIdentity},
		{said + " with an explicit deny in an identity-based policy", with(Identity, true, ""), CauseIdentity},
		{said + " with an explicit deny in an identity-based policy: arn:aws:iam::123456789012:policy/deny.", with(Identity, true, "arn:aws:iam::123456789012:policy/deny"), CauseIdentity},
		{said + " because no permissions boundary allows the dynamodb:GetItem action", with(Boundary, false, ""), CauseBoundary},
		{said + " with an explicit deny in a permissions boundary: arn:aws:iam::123456789012:policy/b", with(Boundary, true, "arn:aws:iam::123456789012:policy/b"), CauseBoundary},
		{said + " because no service control policy allows the dynamodb:GetItem action", with(Service, false, ""), CauseOrganization},
		{said + " with an explicit deny in a service control policy", with(Service, true, ""), CauseOrganization},
		{said + " with an explicit deny in a resource control policy, with policy ARN: arn:aws:organizations::777788889999:policy/o-exampleorgid/resource_control_policy/p-example", with(Resources, true, "arn:aws:organizations::777788889999:policy/o-exampleorgid/resource_control_policy/p-example"), CauseOrganization},
		{said + " because no session policy allows the dynamodb:GetItem action", with(Session, false, ""), CauseSession},
		{said + " with an explicit deny in a session policy", with(Session, true, ""), CauseSession},
		{said + " because no resource-based policy allows the dynamodb:GetItem action", with(Resource, false, ""), CauseResource},
		{said + " with an explicit deny in a resource-based policy", with(Resource, true, ""), CauseResource},
		// An endpoint policy that a service control policy made so is still the endpoint's.
		{said + " with an explicit deny in a VPC endpoint policy transitively through a service control policy", with(VPCEndpoint, true, ""), CauseEndpoint},
		// Older messages and those to other organizations have no reason.
		{said, about, CauseUnknown},
		{"User: " + role + " is not authorized to perform: dynamodb:ListTables with an explicit deny in a session policy",
			Denial{Policy: Session, Explicit: true, Principal: role, Action: "dynamodb:ListTables"}, CauseSession},
		{"User: " + user + " is not authorized to perform: dynamodb:DescribeEndpoints on resource: * because no VPC endpoint policy allows the dynamodb:DescribeEndpoints action",
			Denial{Policy: VPCEndpoint, Principal: user, Action: "dynamodb:DescribeEndpoints", Resource: "*"}, CauseEndpoint},
		{"user: " + user + " IS NOT authorized to perform: dynamodb:GetItem on resource: \"" + table + "\"\n  BECAUSE no identity-based policy  allows the dynamodb:GetItem action", with(Identity, false, ""), CauseIdentity},
		{"Access Denied", Denial{}, CauseUnknown},
		{"", Denial{}, CauseUnknown},
		{"because no policy of that kind allows it", Denial{}, CauseUnknown},
	} {
		got := Parse(tt.message)
		if got != tt.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.message, got, tt.want)
		}
		for path, want := range map[Path]Cause{Unknown: tt.cause, Through: tt.cause, Past: CausePath} {
			if tt.cause == CauseEndpoint {
				want = CauseEndpoint
			}
			if cause := got.Cause(path); cause != want {
				t.Errorf("%s: the cause on path %d is %s, want %s", tt.message, path, cause, want)
			}
		}
	}
}

func TestExplainSaysWhatIsKnownOfThePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reason, why, remedy string
		path                Path
	}{
		{" because no identity-based policy allows the dynamodb:GetItem action",
			"no IAM policy of the caller allows dynamodb:GetItem, or only through a VPC endpoint", "ddbproxy doctor tells whether it came through one; else have it allowed in IAM", Unknown},
		{" because no identity-based policy allows the dynamodb:GetItem action",
			"no IAM policy of the caller allows dynamodb:GetItem", "have it allowed in IAM: ddbproxy policy --vpce", Through},
		{" because no identity-based policy allows the dynamodb:GetItem action",
			"no IAM policy of the caller allows dynamodb:GetItem, and it did not come through the VPC endpoint", "ddbproxy doctor says where", Past},
		{" with an explicit deny in an identity-based policy",
			"an IAM policy of the caller denies dynamodb:GetItem, perhaps because it did not come through the VPC endpoint", "ddbproxy doctor tells whether it did; else", Unknown},
		{" with an explicit deny in a service control policy: arn:aws:organizations::1:policy/p",
			"a service control policy of the organization denies dynamodb:GetItem (arn:aws:organizations::1:policy/p)", "ask who runs the organization", Through},
		{" because no VPC endpoint policy allows the dynamodb:GetItem action",
			"the VPC endpoint's own policy does not allow dynamodb:GetItem", "have it allow the call", Unknown},
		{" because no VPC endpoint policy allows the dynamodb:GetItem action", // which cannot be
			"the VPC endpoint's own policy does not allow dynamodb:GetItem", "have it allow the call", Past},
		{"", "AWS does not say which policy refuses dynamodb:GetItem", "ddbproxy doctor looks at", Unknown},
		{"", "AWS does not say which policy refuses dynamodb:GetItem, and it did not come through the VPC endpoint", "ddbproxy doctor says where", Past},
	} {
		why, remedy := Parse(said + tt.reason).Explain(tt.path)
		if why != tt.why || !strings.HasPrefix(remedy, tt.remedy) {
			t.Errorf("%q on path %d:\n got %q, %q\nwant %q, %q…", tt.reason, tt.path, why, remedy, tt.why, tt.remedy)
		}
	}
	if why, remedy := (Denial{}).Explain(Unknown); why != "AWS does not say which policy refuses the call" || remedy == "" {
		t.Errorf("nothing: %q, %q", why, remedy)
	}
	for policy, text := range texts {
		for _, explicit := range []bool{false, true} {
			if why, remedy := (Denial{Policy: policy, Explicit: explicit}).Explain(Through); text.mend == "" || remedy != text.mend || !strings.HasSuffix(why, " the call") {
				t.Errorf("%s: %q, %q", policy, why, remedy)
			}
		}
	}
}

func packed(t testing.TB, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnswersThatAreDenials(t *testing.T) {
	t.Parallel()
	const kind = "com.amazon.coral.service#AccessDeniedException"
	reason := said + " because no VPC endpoint policy allows the dynamodb:GetItem action"
	object := func(names ...string) string {
		all := map[string]string{}
		for i := 0; i < len(names); i += 2 {
			all[names[i]] = names[i+1]
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	denied := object("__type", kind, "Message", reason)
	inCBOR := func(kind string) []byte {
		return cbor.Encode(cbor.Map{"__type": cbor.String(kind), "message": cbor.String(reason)})
	}
	for _, tt := range []struct {
		name                string
		status              int
		contentType, coding string
		body                []byte
		want                bool
	}{
		{"JSON", 400, "application/x-amz-json-1.0", "", []byte(denied), true},
		{"message in lower case", 400, "application/x-amz-json-1.0", "", []byte(object("__type", kind, "message", reason)), true},
		{"without a namespace", 400, "application/x-amz-json-1.0", "", []byte(object("__type", "AccessDeniedException", "message", reason)), true},
		{"no Content-Type", 400, "", "", []byte(denied), true},
		{"in gzip", 400, "application/x-amz-json-1.0", "gzip", packed(t, denied), true},
		{"CBOR", 400, "application/cbor", "", inCBOR(kind), true},
		{"CBOR in gzip", 400, "application/cbor", "GZIP", packed(t, string(inCBOR(kind))), true},

		{"another status", 500, "application/x-amz-json-1.0", "", []byte(denied), false},
		{"another error", 400, "application/x-amz-json-1.0", "", []byte(object("__type", "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message", reason)), false},
		{"another error, CBOR", 400, "application/cbor", "", inCBOR("x#ValidationException"), false},
		{"not JSON", 400, "application/x-amz-json-1.0", "", []byte("AccessDeniedException"), false},
		{"not CBOR", 400, "application/cbor", "", []byte(denied), false},
		{"CBOR, but no map", 400, "application/cbor", "", cbor.Encode(cbor.String(kind)), false},
		{"cut off", 400, "application/x-amz-json-1.0", "gzip", packed(t, denied)[:40], false},
		{"not in gzip", 400, "application/x-amz-json-1.0", "gzip", []byte(denied), false},
		{"a coding that is not known", 400, "application/x-amz-json-1.0", "br", []byte(denied), false},
		{"too large", 400, "application/x-amz-json-1.0", "", []byte(object("__type", kind, "message", reason+strings.Repeat(" ", MaxAnswer))), false},
		{"too large, unpacked", 400, "application/x-amz-json-1.0", "gzip", packed(t, object("__type", kind, "message", reason+strings.Repeat(" ", MaxAnswer))), false},
		{"empty", 400, "application/x-amz-json-1.0", "", nil, false},
	} {
		h := http.Header{"Content-Type": {tt.contentType}, "Content-Encoding": {tt.coding}}
		d, ok := FromAnswer(tt.status, h, tt.body)
		want := Denial{}
		if tt.want {
			want = Parse(reason)
		}
		if ok != tt.want || d != want {
			t.Errorf("%s: %v, %+v", tt.name, ok, d)
		}
	}
}

// Whatever an answer has: no panic, and text that a terminal can be shown.
func FuzzFromAnswer(f *testing.F) {
	f.Add([]byte(`{"__type":"x#AccessDeniedException","message":"`+said+` with an explicit deny in a VPC endpoint policy"}`), "application/json", "")
	f.Add(packed(f, `{"__type":"AccessDeniedException","Message":"User: \u001b[31m is not authorized to perform: \u0007"}`), "", "gzip")
	f.Add(cbor.Encode(cbor.Map{"__type": cbor.String("AccessDeniedException"), "message": cbor.String(said)}), "application/cbor", "")
	f.Fuzz(func(t *testing.T, body []byte, contentType, coding string) {
		d, ok := FromAnswer(http.StatusBadRequest, http.Header{"Content-Type": {contentType}, "Content-Encoding": {coding}}, body)
		if !ok && d != (Denial{}) {
			t.Errorf("no denial, and %+v", d)
		}
		checkText(t, d)
	})
}

func FuzzParse(f *testing.F) {
	f.Add(said + " with an explicit deny in an identity-based policy: arn:aws:iam::123456789012:policy/deny")
	f.Add("User: \x1b]0;x is not authorized to perform: \u202e on resource: \xff because no session policy allows")
	f.Fuzz(func(t *testing.T, message string) { checkText(t, Parse(message)) })
}

func checkText(t *testing.T, d Denial) {
	t.Helper()
	for _, path := range []Path{Unknown, Through, Past} {
		why, remedy := d.Explain(path)
		for _, text := range []string{d.Action, d.Principal, d.Resource, d.PolicyARN, why, remedy} {
			if text != clean(text) && len(text) < maxMessage {
				t.Errorf("%q is not printable", text)
			}
		}
		if d.Cause(path) == "" {
			t.Errorf("%+v has no cause", d)
		}
	}
}
