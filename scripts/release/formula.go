package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// downloads is where a release's files are found.
const downloads = "https://github.com/ddbproxy/ddbproxy/releases/download"

// formula writes ddbproxy.rb for a Homebrew tap, with the hashes of the archives.
func (r *release) formula() error {
	var platforms strings.Builder
	for _, goos := range []string{"darwin", "linux"} {
		fmt.Fprintf(&platforms, "\n  on_%s do\n", map[string]string{"darwin": "macos", "linux": "linux"}[goos])
		for _, goarch := range []string{"arm64", "amd64"} {
			archive := r.file(target{"ddbproxy", goos, goarch}, ".tar.gz")
			sum, err := hash(archive)
			if err != nil {
				return err
			}
			fmt.Fprintf(&platforms, "    on_%s do\n      url %q\n      sha256 %q\n    end\n",
				map[string]string{"arm64": "arm", "amd64": "intel"}[goarch], downloads+"/"+r.version+"/"+filepath.Base(archive), sum)
		}
		platforms.WriteString("  end\n")
	}
	text := strings.NewReplacer("VERSION", bare(r.version), "PLATFORMS", platforms.String()).Replace(formulaText)
	return os.WriteFile(filepath.Join(r.dist, "ddbproxy.rb"), []byte(text), 0o644)
}

const formulaText = `class Ddbproxy < Formula
  desc "Local endpoint for a DynamoDB that only a bastion can reach"
  homepage "https://github.com/ddbproxy/ddbproxy"
  version "VERSION"
  license "Apache-2.0"
PLATFORMS
  def install
    bin.install "ddbproxy"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/ddbproxy.bash" => "ddbproxy"
    zsh_completion.install "completions/_ddbproxy"
    fish_completion.install "completions/ddbproxy.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/ddbproxy version")
  end
end
`
