//go:build unix

package relayd

import (
	"fmt"
	"io"
	"log/syslog"
)

// openSyslog opens the machine's syslog, which on most is systemd's journal.
func openSyslog() (io.Writer, error) {
	w, err := syslog.New(syslog.LOG_AUTHPRIV|syslog.LOG_INFO, "ddbproxy-relay")
	if err != nil {
		return nil, fmt.Errorf("no audit without a syslog on the bastion (/dev/log), and no connections without the audit: %w", err)
	}
	return w, nil
}
