package endpoint

import "strings"

// A partition is one of AWS's separate worlds. The table follows the endpoint rules of aws-sdk-go-v2 and the partition
// data of botocore; testdata/endpoints-gov2.tsv is those rules' own answer.
type partition struct {
	prefixes      []string // what its region names begin with; a word, a hyphen and a number follow
	suffix        string
	dualStack     string // suffix of dual-stack names
	accounts      bool   // has ACCOUNT.ddb names
	plainFIPS     bool   // the FIPS endpoint of IPv4 is the plain name
	hyphenStreams bool   // streams-dynamodb in dual-stack names, where the others have streams.dynamodb
}

var partitions = [...]partition{
	{
		prefixes: []string{"us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"},
		suffix:   "amazonaws.com", dualStack: "api.aws", accounts: true, hyphenStreams: true,
	},
	{
		prefixes: []string{"cn-"},
		suffix:   "amazonaws.com.cn", dualStack: "api.amazonwebservices.com.cn", accounts: true, hyphenStreams: true,
	},
	{
		prefixes: []string{"us-gov-"},
		suffix:   "amazonaws.com", dualStack: "api.aws", accounts: true, hyphenStreams: true, plainFIPS: true,
	},
	{prefixes: []string{"us-iso-"}, suffix: "c2s.ic.gov", dualStack: "api.aws.ic.gov"},
	{prefixes: []string{"us-isob-"}, suffix: "sc2s.sgov.gov", dualStack: "api.aws.scloud"},
	{prefixes: []string{"eu-isoe-"}, suffix: "cloud.adc-e.uk", dualStack: "api.cloud-aws.adc-e.uk"},
	{prefixes: []string{"us-isof-"}, suffix: "csp.hci.ic.gov", dualStack: "api.aws.hci.ic.gov"},
	{prefixes: []string{"eusc-de-"}, suffix: "amazonaws.eu", dualStack: "api.amazonwebservices.eu"},
}

// owns reports whether region has the form of this partition's regions: prefix, word, hyphen, number.
// A form and not a list, because regions open more often than people update their tools.
func (p *partition) owns(region string) bool {
	if len(region) > 63 {
		return false // not a DNS label
	}
	for _, prefix := range p.prefixes {
		rest, ok := strings.CutPrefix(region, prefix)
		if !ok {
			continue
		}
		word, number, _ := strings.Cut(rest, "-")
		if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == "" &&
			number != "" && len(number) <= 2 && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}

func partitionOf(region string) (*partition, bool) {
	for i := range partitions {
		if partitions[i].owns(region) {
			return &partitions[i], true
		}
	}
	return nil, false
}
