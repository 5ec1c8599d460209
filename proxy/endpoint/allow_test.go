package endpoint

import (
	"errors"
	"strings"
	"testing"
)

func TestAllowAcceptsOnlyItsRegionsAndInterfaceEndpoints(t *testing.T) {
	t.Parallel()
	const mine = "vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com"
	for _, tt := range []struct {
		name  string
		allow Allow
		addr  string
		want  string // part of the refusal; empty = allowed
	}{
		{"zero value, any region", Allow{}, "dynamodb.ap-southeast-7.amazonaws.com:443", ""},
		{"zero value, region of another partition", Allow{}, "dynamodb.cn-north-1.amazonaws.com.cn:443", ""},
		{"zero value, account-based", Allow{}, "123456789012.ddb.eu-west-1.amazonaws.com:443", ""},
		{"upper case and trailing dot", Allow{Regions: []string{"eu-west-1"}}, "DYNAMODB.EU-WEST-1.AMAZONAWS.COM.:443", ""},
		{"region listed", Allow{Regions: []string{"us-east-1", "eu-west-1"}}, "streams.dynamodb.eu-west-1.amazonaws.com:443", ""},
		{"region not listed", Allow{Regions: []string{"eu-west-1"}}, "dynamodb.us-east-1.amazonaws.com:443", "region us-east-1 is not among the allowed ones (eu-west-1)"},
		{"region that only begins alike", Allow{Regions: []string{"eu-west-1"}}, "dynamodb.eu-west-12.amazonaws.com:443", "region eu-west-12 is not"},
		{"vpce by default", Allow{}, mine + ":443", "interface endpoint vpce-0abc123 is not among"},
		{"vpce by id", Allow{VPCE: []string{"vpce-0abc123"}}, mine + ":443", ""},
		{"vpce by whole name", Allow{VPCE: []string{strings.ToUpper(mine) + "."}}, mine + ":443", ""},
		{"vpce of another whole name", Allow{VPCE: []string{"vpce-0abc123-ffffff.dynamodb.eu-west-1.vpce.amazonaws.com"}}, mine + ":443", "interface endpoint"},
		{"vpce whose id only begins alike", Allow{VPCE: []string{"vpce-0abc12"}}, mine + ":443", "interface endpoint"},
		{"vpce of another region", Allow{VPCE: []string{"vpce-0abc123"}, Regions: []string{"us-east-1"}}, mine + ":443", "region eu-west-1 is not"},
		{"empty vpce entry", Allow{VPCE: []string{""}}, mine + ":443", "interface endpoint"},
		{"kind listed", Allow{Kinds: []Kind{KindStandard}}, "dynamodb.eu-west-1.amazonaws.com:443", ""},
		{"kind not listed", Allow{Kinds: []Kind{KindStandard}}, "dynamodb-fips.eu-west-1.amazonaws.com:443", "endpoints of kind fips are not among"},
		{"of two kinds, both listed", Allow{Kinds: []Kind{KindFIPS, KindDualStack}}, "dynamodb-fips.eu-west-1.api.aws:443", ""},
		{"of two kinds, one listed", Allow{Kinds: []Kind{KindFIPS}}, "dynamodb-fips.eu-west-1.api.aws:443", "endpoints of kind dual-stack"},
		{"account-based, not listed", Allow{Kinds: []Kind{KindStandard, KindStreams}}, "123456789012.ddb.eu-west-1.amazonaws.com:443", "kind account"},
		{"streams, not listed", Allow{Kinds: []Kind{KindStandard}}, "streams.dynamodb.eu-west-1.amazonaws.com:443", "kind streams"},
		{"privatelink listed, its id not", Allow{Kinds: []Kind{KindPrivateLink}}, mine + ":443", "interface endpoint vpce-0abc123"},
		{"id listed, privatelink not", Allow{Kinds: []Kind{KindStandard}, VPCE: []string{"vpce-0abc123"}}, mine + ":443", "kind privatelink"},
		{"plain HTTP", Allow{}, "dynamodb.eu-west-1.amazonaws.com:80", "only port 443"},
		{"other spelling of 443", Allow{}, "dynamodb.eu-west-1.amazonaws.com:0443", "only port 443"},
		{"service name as port", Allow{}, "dynamodb.eu-west-1.amazonaws.com:https", "only port 443"},
		{"no port", Allow{}, "dynamodb.eu-west-1.amazonaws.com", "host:port"},
		{"two ports", Allow{}, "dynamodb.eu-west-1.amazonaws.com:443:443", "host:port"},
		{"instance metadata", Allow{}, "169.254.169.254:443", "not a DynamoDB endpoint"},
		{"IPv6", Allow{}, "[::1]:443", "not a DynamoDB endpoint"},
		{"userinfo", Allow{}, "dynamodb.eu-west-1.amazonaws.com:443@evil.example:443", "host:port"},
		{"another service", Allow{}, "sts.eu-west-1.amazonaws.com:443", "only dynamodb and streams.dynamodb are served"},
	} {
		err := tt.allow.Check(tt.addr)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: Check(%q) = %v, want nil", tt.name, tt.addr, err)
			}
			continue
		}
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Check(%q) = %v, want a *RefusedError saying %q", tt.name, tt.addr, err, tt.want)
		}
	}
}

func TestIsVPCE(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"vpce-0abc123": true,
		"VPCE-0ABC123": true,
		"vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com":             true,
		"vpce-0abc123-d4e5f6-eu-west-1a.dynamodb.eu-west-1.vpce.amazonaws.com.": true,
		"vpce-":               false, // those below would allow nothing
		"vpce-*":              false,
		"vpce-0abc123-d4e5f6": false,
		" vpce-0abc123":       false,
		"vpc-0abc123":         false,
		"":                    false,
		"vpce-0abc123.":       false,
		"vpce-0abc123-d4e5f6.sts.eu-west-1.vpce.amazonaws.com": false,
		"dynamodb.eu-west-1.amazonaws.com":                     false,
	} {
		if got := IsVPCE(s); got != want {
			t.Errorf("IsVPCE(%q) = %v, want %v", s, got, want)
		}
		if ep, err := Parse(s); want && err == nil && !(Allow{VPCE: []string{s}}).allowsVPCE(ep) {
			t.Errorf("%q does not allow itself", s)
		}
	}
}

func TestAllowRefusesHostileNamesOnPort443(t *testing.T) {
	t.Parallel()
	for _, name := range hostile {
		err := Allow{}.Check(name + ":443")
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("Check(%q:443) = %v, want a *RefusedError", name, err)
		}
	}
}
