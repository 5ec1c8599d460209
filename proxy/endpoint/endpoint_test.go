package endpoint

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"testing"
)

// row is one line of testdata/endpoints-gov2.tsv: what aws-sdk-go-v2's endpoint rules answer for one combination.
type row struct {
	region                     string
	fips, dual                 bool
	dynamodb, streams, account string // host names; account is empty where the rules give none
}

func sdkRows(t *testing.T) []row {
	t.Helper()
	f, err := os.Open("testdata/endpoints-gov2.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []row
	for s := bufio.NewScanner(f); s.Scan(); {
		col := strings.Split(s.Text(), "\t")
		if len(col) != 7 {
			t.Fatalf("line has %d columns, want 7: %q", len(col), s.Text())
		}
		r := row{region: col[0], fips: col[1] == "fips=true", dual: col[2] == "dual=true"}
		r.dynamodb = strings.TrimPrefix(col[3], "https://")
		r.streams = strings.TrimPrefix(col[4], "https://")
		if account := strings.TrimPrefix(col[5], "acct-pref:https://"); strings.Contains(account, ".ddb.") {
			r.account = account
		}
		rows = append(rows, r)
	}
	if len(rows) != 56 {
		t.Fatalf("read %d rows, want 56", len(rows))
	}
	return rows
}

func TestHostAndParseAgreeWithTheRulesOfTheSDK(t *testing.T) {
	t.Parallel()
	accounts := 0
	for _, r := range sdkRows(t) {
		if r.region == "local" {
			if got, err := Host(DynamoDB, r.region, r.fips, r.dual); err == nil {
				t.Errorf("Host(local) = %q, want an error: it is the SDK's name for DynamoDB Local", got)
			}
			continue
		}
		saysFIPS := r.fips && (r.dual || !strings.HasPrefix(r.region, "us-gov-"))
		for service, want := range map[Service]string{DynamoDB: r.dynamodb, Streams: r.streams} {
			got, err := Host(service, r.region, r.fips, r.dual)
			if err != nil || got != want {
				t.Errorf("Host(%v, %s, %v, %v) = %q, %v, want %q", service, r.region, r.fips, r.dual, got, err, want)
			}
			parsed, err := Parse(want)
			wantEp := Endpoint{Service: service, Region: r.region, FIPS: saysFIPS, DualStack: r.dual, Host: want}
			if err != nil || parsed != wantEp {
				t.Errorf("Parse(%q) = %+v, %v, want %+v", want, parsed, err, wantEp)
			}
		}
		if r.account != "" {
			accounts++
			got, err := Parse(r.account)
			want := Endpoint{Region: r.region, DualStack: r.dual, Account: "123456789012", Host: r.account}
			if err != nil || got != want {
				t.Errorf("Parse(%q) = %+v, %v, want %+v", r.account, got, err, want)
			}
		}
	}
	if accounts != 16 {
		t.Errorf("checked %d account-based names, want 16", accounts)
	}
}

func TestParseReadsPrivateLinkNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		want Endpoint
	}{
		{"vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com", Endpoint{Region: "eu-west-1", VPCE: "vpce-0abc123"}},
		{"vpce-0abc123-d4e5f6-eu-west-1a.dynamodb.eu-west-1.vpce.amazonaws.com", Endpoint{Region: "eu-west-1", VPCE: "vpce-0abc123"}},
		{"vpce-0abc123-d4e5f6.streams.dynamodb.us-gov-west-1.vpce.amazonaws.com", Endpoint{Service: Streams, Region: "us-gov-west-1", VPCE: "vpce-0abc123"}},
		{"vpce-0abc123-d4e5f6.dynamodb-fips.us-east-1.vpce.amazonaws.com", Endpoint{Region: "us-east-1", FIPS: true, VPCE: "vpce-0abc123"}},
		{"vpce-0abc123-d4e5f6.dynamodb.cn-north-1.vpce.amazonaws.com.cn", Endpoint{Region: "cn-north-1", VPCE: "vpce-0abc123"}},
	} {
		tt.want.Host = tt.name
		if got, err := Parse(tt.name); err != nil || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestParseNormalisesCaseAndOneTrailingDot(t *testing.T) {
	t.Parallel()
	got, err := Parse("DynamoDB.EU-West-1.AmazonAWS.com.")
	want := Endpoint{Region: "eu-west-1", Host: "dynamodb.eu-west-1.amazonaws.com"}
	if err != nil || got != want {
		t.Errorf("Parse = %+v, %v, want %+v", got, err, want)
	}
}

// hostile holds names that look like DynamoDB's, or that a careless match would take.
var hostile = []string{
	"",
	".",
	"..",
	"amazonaws.com",
	"eu-west-1.amazonaws.com",
	".eu-west-1.amazonaws.com",
	"dynamodb.amazonaws.com",
	"dynamodb..amazonaws.com",
	"dynamodb.eu-west-1.amazonaws.com..",
	".dynamodb.eu-west-1.amazonaws.com",
	"dynamodb..eu-west-1.amazonaws.com",
	"dynamodb.eu-west-1.amazonaws.com.evil.example",
	"dynamodb.eu-west-1.amazonaws.community",
	"evil-dynamodb.eu-west-1.amazonaws.com",
	"evil.dynamodb.eu-west-1.amazonaws.com",
	"dynamodb.eu-west-1.evilamazonaws.com",
	"dynamodb.eu-west-1.evil.amazonaws.com",
	"dynamodb.eu-west-1-amazonaws.com",
	"dynamodb-eu-west-1.amazonaws.com",
	"dynamodb.evil.eu-west-1.amazonaws.com",
	"dynamodb.evil.eu-west-1.api.aws",
	"dynamodb.eu-west-1.s3.amazonaws.com",
	"dynamodb.s3.eu-west-1.amazonaws.com",
	"bucket.s3.eu-west-1.amazonaws.com",
	"s3.eu-west-1.amazonaws.com",
	"sts.eu-west-1.amazonaws.com",
	"dynamodb.local.amazonaws.com",
	"dynamodb.eu-west.amazonaws.com",
	"dynamodb.eu-west-.amazonaws.com",
	"dynamodb.eu-west-1a.amazonaws.com",
	"dynamodb.eu-west-1-1.amazonaws.com",
	"dynamodb.eu-west-123.amazonaws.com",
	"dynamodb.xx-west-1.amazonaws.com",
	"dynamodb.eu-west-1.amazonaws.com.cn",
	"dynamodb.cn-north-1.amazonaws.com",
	"dynamodb.us-iso-east-1.amazonaws.com",
	"dynamodb.eu-isoe-west-1.amazonaws.com",
	"streams-dynamodb.eu-west-1.amazonaws.com",
	"streams.dynamodb-fips-fips.eu-west-1.amazonaws.com",
	"streams.eu-west-1.amazonaws.com",
	"dax.eu-west-1.amazonaws.com",
	"12345678901.ddb.eu-west-1.amazonaws.com",
	"1234567890123.ddb.eu-west-1.amazonaws.com",
	"12345678901a.ddb.eu-west-1.amazonaws.com",
	"123456789012.ddb.us-iso-east-1.c2s.ic.gov",
	"123456789012.ddb-fips.eu-west-1.amazonaws.com",
	"123456789012.ddb.evil.eu-west-1.amazonaws.com",
	"a.123456789012.ddb.eu-west-1.amazonaws.com",
	"vpce-0abc123.dynamodb.eu-west-1.vpce.amazonaws.com",
	"vpce--d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com",
	"vpce-0abc123-.dynamodb.eu-west-1.vpce.amazonaws.com",
	"evil-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com",
	"vpce-0abc123-d4e5f6.s3.eu-west-1.vpce.amazonaws.com",
	"vpce-0abc123-d4e5f6.123456789012.ddb.eu-west-1.vpce.amazonaws.com",
	"vpce-0abc123-d4e5f6.dynamodb.eu-west-1.amazonaws.com",
	"vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.api.aws",
	"dynamodb.eu-west-1.vpce.amazonaws.com",
	"a.vpce-0abc123-d4e5f6.dynamodb.eu-west-1.vpce.amazonaws.com",
	"dynamodb.eu-west-1.amazonaws.com:443",
	"https://dynamodb.eu-west-1.amazonaws.com",
	"dynamodb.eu-west-1.amazonaws.com/",
	"user@dynamodb.eu-west-1.amazonaws.com",
	"evil.example@dynamodb.eu-west-1.amazonaws.com",
	"dynamodb.eu-west-1.amazonaws.com ",
	" dynamodb.eu-west-1.amazonaws.com",
	"dynamodb.eu-west-1.amazonaws.com\n",
	"dynamodb.eu-west-1.amazonaws.com\x00",
	"evil.example\x00.dynamodb.eu-west-1.amazonaws.com",
	"evil.example#.dynamodb.eu-west-1.amazonaws.com",
	"evil.example%00.dynamodb.eu-west-1.amazonaws.com",
	"dynamodb.eu_west-1.amazonaws.com",
	"dynamodb.eu-west-١.amazonaws.com",
	"dynamodb。eu-west-1。amazonaws。com",
	"dуnamodb.eu-west-1.amazonaws.com", // Cyrillic у
	"dynamodb.eu-we\u017ft-1.amazonaws.com",
	"127.0.0.1", "169.254.169.254", "::1", "[::1]", "localhost", "0x7f000001",
	"dynamodb.eu-" + strings.Repeat("a", 60) + "-1.amazonaws.com",
	"vpce-0abc123-" + strings.Repeat("d", 60) + ".dynamodb.eu-west-1.vpce.amazonaws.com",
	strings.Repeat("a", 300) + ".dynamodb.eu-west-1.amazonaws.com",
}

func TestParseRefusesHostileNames(t *testing.T) {
	t.Parallel()
	for _, name := range hostile {
		got, err := Parse(name)
		var nameErr *NameError
		if !errors.As(err, &nameErr) {
			t.Errorf("Parse(%q) = %+v, %v, want a *NameError", name, got, err)
			continue
		}
		if got != (Endpoint{}) {
			t.Errorf("Parse(%q) returned %+v beside its error", name, got)
		}
		if nameErr.Name != name || len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("Parse(%q): unfit error text %q", name, err)
		}
	}
}

func FuzzParseAcceptsOnlyNamesUnderAKnownSuffix(f *testing.F) {
	for _, name := range hostile {
		f.Add(name)
	}
	for _, name := range []string{
		"dynamodb.eu-west-1.amazonaws.com", "streams-dynamodb-fips.us-gov-east-1.api.aws", "123456789012.ddb.cn-north-1.amazonaws.com.cn",
		"vpce-0abc123-d4e5f6-eu-west-1a.streams.dynamodb.eu-west-1.vpce.amazonaws.com", "DYNAMODB.us-isof-south-1.csp.hci.ic.gov.",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ep, err := Parse(name)
		if err != nil {
			return
		}
		again, err := Parse(ep.Host)
		if err != nil || again != ep {
			t.Fatalf("Parse(%q) = %+v, but Parse of its Host = %+v, %v", name, ep, again, err)
		}
		p, ok := partitionOf(ep.Region)
		if !ok {
			t.Fatalf("Parse(%q) accepted region %q", name, ep.Region)
		}
		tail := "." + ep.Region + "." + p.suffix
		switch {
		case ep.DualStack:
			tail = "." + ep.Region + "." + p.dualStack
		case ep.VPCE != "":
			tail = "." + ep.Region + ".vpce." + p.suffix
		}
		left, ok := strings.CutSuffix(ep.Host, tail)
		if !ok {
			t.Fatalf("Parse(%q) accepted %q, which does not end in %q", name, ep.Host, tail)
		}
		if ep.VPCE == "" && ep.Account == "" {
			if !map[string]bool{
				"dynamodb": true, "dynamodb-fips": true, "streams.dynamodb": true, "streams.dynamodb-fips": true,
				"streams-dynamodb": ep.DualStack, "streams-dynamodb-fips": ep.DualStack,
			}[left] {
				t.Fatalf("Parse(%q) accepted %q before the region", name, left)
			}
		}
	})
}

func FuzzParseReadsWhatHostBuilds(f *testing.F) {
	f.Add("eu-west-1", false, false, false)
	f.Add("us-gov-west-1", true, true, false)
	f.Add("us-iso-east-1", true, false, true)
	f.Fuzz(func(t *testing.T, region string, streams, fips, dual bool) {
		service := DynamoDB
		if streams {
			service = Streams
		}
		name, err := Host(service, region, fips, dual)
		if err != nil {
			return
		}
		p, _ := partitionOf(region)
		want := Endpoint{Service: service, Region: region, FIPS: fips && (dual || !p.plainFIPS), DualStack: dual, Host: name}
		if got, err := Parse(name); err != nil || got != want {
			t.Fatalf("Parse(%q) = %+v, %v, want %+v", name, got, err, want)
		}
	})
}
