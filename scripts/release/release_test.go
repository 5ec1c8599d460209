package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var commitTime = time.Date(2026, 11, 25, 20, 30, 0, 0, time.UTC)

func TestPackageVersion(t *testing.T) {
	for _, tt := range []struct{ described, want string }{
		{"v1.2.0", "1.2.0"},
		{"v1.2.0-rc.1", "1.2.0~rc.1"},
		{"v1.2.0-rc-1", "1.2.0~rc.1"},
		{"v1.2.0-3-g616fdfd", "1.2.0+3.g616fdfd"},
		{"v1.2.0-rc.1-3-g616fdfd-dirty", "1.2.0~rc.1+3.g616fdfd+dirty"},
		{"616fdfd", "0~20261125203000.g616fdfd"},
		{"0619123-dirty", "0~20261125203000.g0619123+dirty"},
	} {
		if got := packageVersion(tt.described, commitTime); got != tt.want {
			t.Errorf("packageVersion(%q) = %q, want %q", tt.described, got, tt.want)
		}
	}
}

// dpkg is asked itself; make test runs where it is.
func TestPackageVersionsSort(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("no dpkg")
	}
	order := []string{"616fdfd", "v1.2.0-rc.1", "v1.2.0-rc.1-3-g616fdfd", "v1.2.0", "v1.2.0-3-g616fdfd", "v1.2.1"}
	for i := range order[1:] {
		a, b := packageVersion(order[i], commitTime), packageVersion(order[i+1], commitTime)
		if err := exec.Command(dpkg, "--compare-versions", a, "lt", b).Run(); err != nil {
			t.Errorf("%s is not before %s: %v", a, b, err)
		}
	}
}

func TestArchives(t *testing.T) {
	files := []file{{"README.md", 0o644, []byte("read me")}, {"ddbproxy", 0o755, []byte("program")}, {"man/ddbproxy.1", 0o644, []byte("page")}}
	want := []string{"dir/README.md -rw-r--r-- read me", "dir/ddbproxy -rwxr-xr-x program", "dir/man/ddbproxy.1 -rw-r--r-- page"}
	other := slices.Clone(files)
	slices.Reverse(other)
	for _, tt := range []struct {
		name  string
		write func(io.Writer, string, []file, time.Time) error
		list  func(*testing.T, []byte) []string
	}{{"tar.gz", tarGz, listTar}, {"zip", zipped, listZip}} {
		t.Run(tt.name, func(t *testing.T) {
			var a, b bytes.Buffer
			if err := tt.write(&a, "dir", files, commitTime); err != nil {
				t.Fatal(err)
			}
			if err := tt.write(&b, "dir", other, commitTime.In(time.FixedZone("Seoul", 9*3600))); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Error("the order of files, or the time zone, changes the bytes")
			}
			if got := tt.list(t, a.Bytes()); !slices.Equal(got, want) {
				t.Errorf("it holds %q, want %q", got, want)
			}
		})
	}
}

func listTar(t *testing.T, data []byte) (list []string) {
	packed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(packed); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(commitTime) || h.Uid != 0 || h.Uname != "" {
			t.Errorf("%+v, want the commit's time and owner 0", h)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.Join([]string{h.Name, h.FileInfo().Mode().String(), string(text)}, " "))
	}
}

func listZip(t *testing.T, data []byte) (list []string) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.File {
		if !f.Modified.Equal(commitTime) {
			t.Errorf("%s is of %v, want the commit's time", f.Name, f.Modified)
		}
		entry, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(entry)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.Join([]string{f.Name, f.Mode().String(), string(text)}, " "))
	}
	return list
}

func TestFormulaHasTheHashes(t *testing.T) {
	r := &release{version: "v1.2.0", dist: t.TempDir()}
	for i, goos := range []string{"darwin", "linux"} {
		for j, goarch := range []string{"amd64", "arm64"} {
			name := r.file(target{"ddbproxy", goos, goarch}, ".tar.gz")
			if err := os.WriteFile(name, []byte{byte(i), byte(j)}, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.formula(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.dist, "ddbproxy.rb"))
	if err != nil {
		t.Fatal(err)
	}
	// sha256sum of the bytes 0 and 1: darwin on arm64.
	want := `    on_arm do
      url "https://github.com/ddbproxy/ddbproxy/releases/download/v1.2.0/ddbproxy_1.2.0_darwin_arm64.tar.gz"
      sha256 "b413f47d13ee2fe6c845b2ee141af81de858df4ec549a58b7970bb96645bc8d2"`
	if !strings.Contains(string(text), want) || !strings.Contains(string(text), `version "1.2.0"`) {
		t.Errorf("the formula lacks %s:\n%s", want, text)
	}
}

func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checksums(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	want := "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a\n" +
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n"
	if err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestSettledBill(t *testing.T) {
	bill := func(at, hash string) []byte {
		return []byte(`{"components":[{"hashes":["stays"]}],"metadata":{"timestamp":"` + at + `","tools":[{"name":"x","hashes":["` + hash + `"]}]}}`)
	}
	a, err := settled(bill("2026-11-25T23:57:17Z", "1"), commitTime)
	if err != nil {
		t.Fatal(err)
	}
	b, err := settled(bill("2026-11-25T23:57:20Z", "2"), commitTime)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) || !bytes.Contains(a, []byte("2026-11-25T20:30:00Z")) || !bytes.Contains(a, []byte("stays")) {
		t.Errorf("%s and %s, want the same with the commit's time", a, b)
	}
	if _, err := settled([]byte(`{}`), commitTime); err == nil {
		t.Error("a bill without metadata was taken")
	}
}
