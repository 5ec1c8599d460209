package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// write writes all files of both sides.
func (s *SSHD) write(client string) error {
	for dir, perm := range map[string]os.FileMode{s.dir: 0o755, client: 0o700} {
		if err := os.MkdirAll(dir, perm); err != nil {
			return err
		}
	}
	if err := s.lab.writeAccounts(Bastion, s.lab.machines[Bastion].etc, s.options.Shell); err != nil {
		return err
	}
	if len(s.options.PAM) > 0 {
		stack := filepath.Join(s.lab.machines[Bastion].etc, "pam.d", "sshd")
		if err := os.MkdirAll(filepath.Dir(stack), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(stack, []byte(strings.Join(s.options.PAM, "\n")+"\n"), 0o644); err != nil {
			return err
		}
	}
	known, err := s.writeHostKeys()
	if err != nil {
		return err
	}
	if s.userKey, err = newKey("ed25519"); err != nil {
		return err
	}
	public, err := marshalKey(s.Key, s.userKey, "")
	if err != nil {
		return err
	}
	authorized := public + "\n"
	if s.options.KeyOptions != "" {
		authorized = s.options.KeyOptions + " " + authorized
	}
	for path, content := range map[string]string{
		s.KnownHosts:                        known,
		s.ClientConfig:                      s.clientConfig(),
		s.AuthorizedKeys:                    authorized,
		filepath.Join(s.dir, "sshd_config"): s.config(),
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// config returns sshd_config. The first value of a keyword counts, so the
// caller's come first.
func (s *SSHD) config() string {
	extra, match := s.options.Config, []string(nil)
	if i := slices.IndexFunc(extra, isMatch); i >= 0 {
		extra, match = extra[:i], extra[i:]
	}
	own := []string{
		fmt.Sprintf("Port %d", s.options.Port),
		"AddressFamily inet",
		"AuthorizedKeysFile " + s.AuthorizedKeys,
		// The list is below the temporary directory, which all may write to.
		"StrictModes no",
		"UsePAM " + map[bool]string{true: "yes", false: "no"}[len(s.options.PAM) > 0],
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"UseDNS no",
		"PidFile none",
		"PrintMotd no",
		"LogLevel VERBOSE",
	}
	for _, kind := range s.options.HostKeys {
		own = append(own, "HostKey "+filepath.Join(s.dir, "ssh_host_"+kind+"_key"))
	}
	if s.options.Address != "" {
		own = append(own, "ListenAddress "+s.options.Address)
	}
	if s.options.Path != "" {
		own = append(own, fmt.Sprintf("SetEnv \"PATH=%s\"", s.options.Path))
	}
	return strings.Join(slices.Concat(extra, own, match), "\n") + "\n"
}

func isMatch(line string) bool {
	keyword, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	return strings.EqualFold(keyword, "Match")
}

func (s *SSHD) clientConfig() string {
	addr, _, _ := strings.Cut(s.Addr, ":")
	return fmt.Sprintf(`Host %s
    HostName %s
    Port %d
    User %s
    IdentityFile %s
    IdentitiesOnly yes
    UserKnownHostsFile %s
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
`, BastionName, addr, s.options.Port, User, s.Key, s.KnownHosts)
}
