package vpc

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// What the fake does not know, it must not answer as if it did.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := &Server{Region: "eu-west-1", KeyID: "AKIDEXAMPLE00000TEST", Secret: "secret", Endpoints: []Endpoint{{ID: "vpce-1", VPC: "vpc-1"}, {ID: "vpce-2", VPC: "vpc-2"}}}
	web := httptest.NewServer(s)
	defer web.Close()
	client := func(secret string) *ec2.Client {
		return ec2.New(ec2.Options{Region: "eu-west-1", BaseEndpoint: aws.String(web.URL), RetryMaxAttempts: 1, HTTPClient: http.DefaultClient,
			Credentials: credentials.NewStaticCredentialsProvider(s.KeyID, secret, "")})
	}
	by := func(name, value string) *ec2.DescribeVpcEndpointsInput {
		return &ec2.DescribeVpcEndpointsInput{Filters: []types.Filter{{Name: aws.String(name), Values: []string{value}}}}
	}
	for _, tt := range []struct {
		secret string
		in     *ec2.DescribeVpcEndpointsInput
		want   string // the id of the only one, or the code
	}{
		{"secret", by("vpc-id", "vpc-2"), "vpce-2"},
		{"secret", by("vpc-id", "vpc-3"), ""},
		{"secret", &ec2.DescribeVpcEndpointsInput{VpcEndpointIds: []string{"vpce-1"}}, "vpce-1"},
		{"secret", &ec2.DescribeVpcEndpointsInput{VpcEndpointIds: []string{"vpce-3"}}, "InvalidVpcEndpointId.NotFound"},
		{"secret", by("tag:Name", "x"), "InvalidParameterValue"},
		{"another", by("vpc-id", "vpc-2"), "AuthFailure"},
	} {
		out, err := client(tt.secret).DescribeVpcEndpoints(t.Context(), tt.in)
		got := ""
		var said smithy.APIError
		switch {
		case errors.As(err, &said):
			got = said.ErrorCode()
		case err != nil:
			t.Fatal(err)
		case len(out.VpcEndpoints) == 1:
			got = *out.VpcEndpoints[0].VpcEndpointId
		}
		if got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.in, got, tt.want)
		}
	}
	if _, err := client("secret").DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{}); err == nil {
		t.Error("an action that it does not know was answered")
	}
}
