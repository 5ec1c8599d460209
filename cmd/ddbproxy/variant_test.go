package main

import "testing"

func TestVariantIsServedBy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v    variant
		host string
		want bool
	}{
		{variant{}, "dynamodb.us-east-1.amazonaws.com", true},
		{variant{}, "dynamodb-fips.us-east-1.amazonaws.com", true},
		{variant{}, "", true},
		{variant{fips: true}, "", false},
		{variant{fips: true}, "dynamodb.us-east-1.amazonaws.com", false},
		{variant{fips: true}, "dynamodb-fips.us-east-1.amazonaws.com", true},
		{variant{fips: true}, "dynamodb-fips.us-east-1.api.aws", true},
		{variant{fips: true}, "dynamodb.us-gov-west-1.amazonaws.com", true},
		{variant{fips: true}, "dynamodb.us-gov-west-1.api.aws", false},
		{variant{fips: true}, "vpce-0abc123-d4e5f6.dynamodb.us-gov-west-1.vpce.amazonaws.com", false},
		{variant{dualStack: true}, "dynamodb.us-east-1.amazonaws.com", false},
		{variant{dualStack: true}, "dynamodb.us-east-1.api.aws", true},
		{variant{true, true}, "dynamodb.us-east-1.api.aws", false},
		{variant{true, true}, "dynamodb-fips.us-east-1.api.aws", true},
	} {
		if got := tt.v.isServedBy(tt.host); got != tt.want {
			t.Errorf("%+v is served by %q: %t, want %t", tt.v, tt.host, got, tt.want)
		}
		// What a variant is called is what serves it.
		if name := tt.v.name("us-gov-west-1"); name != "" && !tt.v.isServedBy(name) {
			t.Errorf("%+v is not served by its own name %q", tt.v, name)
		}
	}
}
