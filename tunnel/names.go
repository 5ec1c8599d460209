package tunnel

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// HostNames are the names that ssh's configuration gives to hosts, in the order
// of the files: those of Host lines without wildcards, Include followed. It is
// for completion and passes over what it cannot read. configFile is as in
// Client; empty means ~/.ssh/config and the machine's.
func HostNames(configFile string) []string {
	files := []string{expandHome("~/.ssh/config"), systemConfig}
	if configFile != "" {
		files = []string{configFile}
	}
	var names []string
	for _, file := range files {
		base := filepath.Dir(file)
		if configFile != "" {
			base = expandHome("~/.ssh")
		}
		names = hostNames(names, file, base, 0)
	}
	return names
}

func hostNames(names []string, file, base string, depth int) []string {
	data, err := os.ReadFile(file)
	if err != nil || depth > 16 {
		return names
	}
	for line := range strings.Lines(string(data)) {
		key, rest := splitKeyword(line)
		args, err := splitArguments(rest)
		if err != nil {
			continue
		}
		for _, arg := range args {
			switch {
			case key == "host" && !strings.ContainsAny(arg, "*?!") && !slices.Contains(names, arg):
				names = append(names, arg)
			case key == "include":
				if arg = expandHome(arg); !filepath.IsAbs(arg) {
					arg = filepath.Join(base, arg)
				}
				included, _ := filepath.Glob(arg)
				for _, name := range included {
					names = hostNames(names, name, base, depth+1)
				}
			}
		}
	}
	return names
}
