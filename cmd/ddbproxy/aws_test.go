package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// alone leaves a test with the AWS settings that it makes itself.
func alone(t *testing.T, config string) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value) // has it back afterwards
			os.Unsetenv(name)
		}
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "") // loadAWS sets it
}

// A workstation that is an instance itself has its role's keys, unless metadata
// are switched off; a proxy in the environment is no way there.
func TestInstanceRoleIsAnIdentity(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "PUT /latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			fmt.Fprint(w, "token")
		case "GET /latest/meta-data/iam/security-credentials/":
			fmt.Fprint(w, "workstation")
		case "GET /latest/meta-data/iam/security-credentials/workstation":
			fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAWORKSTATION","SecretAccessKey":"s","Token":"t","Expiration":%q}`,
				time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		default:
			http.NotFound(w, r)
		}
	}))
	defer metadata.Close()
	for _, tt := range []struct{ name, disabled, want string }{
		{"there", "", "ASIAWORKSTATION"},
		{"switched off", "true", "none found in the environment, ~/.aws/credentials or ~/.aws/config"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			alone(t, "[default]\nregion = eu-west-1\n")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
			t.Setenv("AWS_EC2_METADATA_DISABLED", tt.disabled)
			settings, err := loadAWS(t.Context(), &connectOptions{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			creds, err := settings.identities[0].Credentials.Retrieve(t.Context())
			if got := creds.AccessKeyID + fmt.Sprint(err); !strings.Contains(got, tt.want) {
				t.Errorf("%+v, %v, want %q", creds, err, tt.want)
			}
		})
	}
}

// The name of the profile is in what a person is told to type.
func TestProfileOfTheEnvironmentHasItsName(t *testing.T) {
	const config = "[default]\nregion = eu-west-1\n[profile dev]\nregion = eu-west-1\n"
	for _, tt := range []struct{ name, env, key, flag, want string }{
		{"none", "", "", "", ""},
		{"by name of the default", "default", "", "", ""},
		{"AWS_PROFILE", "dev", "", "", "dev"},
		{"--profile", "", "", "dev", "dev"},
		{"keys come first", "dev", "AKIA", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			alone(t, config)
			if tt.env != "" {
				t.Setenv("AWS_PROFILE", tt.env)
			}
			if tt.key != "" {
				t.Setenv("AWS_ACCESS_KEY_ID", tt.key)
				t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
			}
			o := &connectOptions{}
			if tt.flag != "" {
				o.profiles = []string{tt.flag}
			}
			settings, err := loadAWS(t.Context(), o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := settings.identities[0].Profile; got != tt.want {
				t.Errorf("profile %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCallersKeyIsNoGuess(t *testing.T) {
	const enough = "0123456789abcdef"
	for _, tt := range []struct{ name, profile, want string }{
		{"a GUI's", "aws_access_key_id = gui\naws_secret_access_key = " + enough + "\n", ""},
		{"a word", "aws_access_key_id = fakeMyKeyId\naws_secret_access_key = fakeSecret\n", "can be guessed"},
		{"no secret", "aws_access_key_id = gui\n", ""}, // the SDK's own error
		{"none", "region = eu-west-1\n", "has no access key"},
		{"temporary", "aws_access_key_id = ASIA\naws_secret_access_key = " + enough + "\naws_session_token = t\n", "is a temporary one of AWS"},
		{"a session's", "aws_access_key_id = DDBPROXYX\naws_secret_access_key = " + enough + "\n", "are those of sessions"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			alone(t, "[profile gui]\n"+tt.profile)
			key, err := callerKey(t.Context(), "gui")
			switch {
			case tt.want == "" && tt.name == "a GUI's":
				if err != nil || key.ID != "gui" || key.Secret != enough {
					t.Errorf("%v, %v", key, err)
				}
			case err == nil || !strings.Contains(err.Error(), tt.want):
				t.Errorf("%v, want %q", err, tt.want)
			case strings.Contains(err.Error(), "fakeSecret") || strings.Contains(err.Error(), enough):
				t.Errorf("the secret is in %q", err)
			}
		})
	}
	alone(t, "")
	if _, err := callerKey(t.Context(), "gui"); err == nil || !strings.Contains(err.Error(), `no AWS profile "gui"`) {
		t.Errorf("%v, want it named", err)
	}
}
