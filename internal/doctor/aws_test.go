package doctor

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/ddbproxy/ddbproxy/internal/vpc"
)

var update = flag.Bool("update", false, "write testdata anew from what is printed now")

// configFor is the laptop's, with AWS at url.
func configFor(url, keyID, secret string) aws.Config {
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""), HTTPClient: http.DefaultClient,
	}
}

// printed runs checks and gives what a person sees, with names in the place of ids.
func printed(t *testing.T, checks []Check, f *Facts, names map[string]string) (string, []Result) {
	t.Helper()
	var out bytes.Buffer
	p := &Printer{W: &out}
	results := Run(context.Background(), checks, f, p.Print)
	for _, r := range results {
		if r.Outcome == Failed && (r.Meaning == "" || r.Remedy == "" || strings.Contains(r.Remedy, "\n")) {
			t.Errorf("%s: a failed check has a meaning and one remedy, not %q and %q", r.ID, r.Meaning, r.Remedy)
		}
	}
	return replaced(out.String(), names), results
}

// replaced has the longest names replaced first, since some begin others.
func replaced(text string, by map[string]string) string {
	var pairs []string
	var from []string
	for k := range by {
		from = append(from, k)
	}
	slices.SortFunc(from, func(a, b string) int { return len(b) - len(a) })
	for _, k := range from {
		pairs = append(pairs, k, by[k])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// golden is what testdata has for each scene.
func golden(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for part := range strings.SplitSeq(string(text), "== ") {
		if name, body, ok := strings.Cut(part, " ==\n"); ok {
			want[name] = strings.TrimSuffix(body, "\n")
		}
	}
	return want
}

// facts has the fake play the scene, and tells what the checks begin with.
func (tr trouble) facts(t *testing.T) *Facts {
	t.Helper()
	s, f := wellWorld()
	keyID, secret := s.KeyID, s.Secret
	tr.change(s, f)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	f.Config = configFor(web.URL, keyID, secret)
	return f
}

// played runs each scene against the fake and compares what is printed with a file.
func played(t *testing.T, file string, troubles []trouble, checks func() []Check) map[string][]Outcome {
	t.Helper()
	seen := map[string][]Outcome{}
	var all strings.Builder
	want := map[string]string{}
	if !*update {
		want = golden(t, file)
	}
	for _, sc := range troubles {
		text, results := printed(t, checks(), sc.facts(t), nil)
		for _, r := range results {
			seen[r.ID] = append(seen[r.ID], r.Outcome)
		}
		if text != want[sc.name] && !*update {
			t.Errorf("%s: printed\n%s\nwant\n%s", sc.name, text, want[sc.name])
		}
		all.WriteString("== " + sc.name + " ==\n" + text + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return seen
	}
	if len(want) != len(troubles) {
		t.Errorf("%s has %d scenes, not %d", file, len(want), len(troubles))
	}
	return seen
}

func TestEachTroubleOfTheNetworkIsNamed(t *testing.T) {
	seen := played(t, "testdata/network.txt", troubles, networkChecks)
	for _, c := range networkChecks() {
		for _, o := range []Outcome{OK, Failed, Skipped} {
			if !slices.Contains(seen[c.ID], o) {
				t.Errorf("in no scene is %s %s", c.ID, o)
			}
		}
	}
}

// Nothing is asked of AWS where there are no credentials, or no region.
func TestAWSIsNotAskedWithoutCredentials(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("it was asked") }))
	defer web.Close()
	_, f := wellWorld()
	f.Config = configFor(web.URL, "", "")
	f.Config.Credentials = nil
	for _, r := range Run(t.Context(), AWSChecks(), f, nil) {
		if r.Outcome != Skipped || !strings.Contains(r.Detail, "no AWS credentials") && !strings.Contains(r.Detail, "it needs") {
			t.Errorf("%s: %+v", r.ID, r.Finding)
		}
	}
	f = &Facts{Config: configFor(web.URL, "AKIDEXAMPLE00000TEST", "x")}
	for _, r := range Run(t.Context(), AWSChecks(), f, nil) {
		if r.Outcome != Skipped || !strings.Contains(r.Detail, "give --region") && !strings.Contains(r.Detail, "it needs") {
			t.Errorf("%s: %+v", r.ID, r.Finding)
		}
	}
}

func TestAWSThatIsAwayIsNoFailure(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(new(vpc.Server))
	web.Close()
	_, f := wellWorld()
	f.Config = configFor(web.URL, "AKIDEXAMPLE00000TEST", "x")
	results := Run(t.Context(), AWSChecks(), f, nil)
	if !AllWell(results) {
		t.Errorf("got %+v", results)
	}
	for _, r := range results {
		if r.ID == "aws.endpoint" && (!strings.Contains(r.Detail, "ec2:DescribeVpcEndpoints could not be asked: ") || strings.Contains(r.Detail, "Post")) {
			t.Errorf("%s: %s", r.ID, r.Detail)
		}
	}
}
