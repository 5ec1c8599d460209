//go:build !unix

package relayd

import (
	"errors"
	"io"
)

func openSyslog() (io.Writer, error) { return nil, errors.New("no audit: this system has no syslog") }
