// Package relaybin holds the relay programs that ddbproxy uploads to a bastion.
// They are built by "make relays" into bin/ and embedded; a plain "go build"
// without them works too, and then finds a relay beside the running program.
package relaybin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

//go:embed all:bin
var files embed.FS

// Program is a relay as it is uploaded.
type Program struct {
	Gzip []byte // the program, compressed
	Hash string // hex SHA-256 of the program itself
}

var (
	mu    sync.Mutex
	cache = map[string]*Program{}
)

// For gives the relay for a kind of machine, in Go's names; nil if there is
// none.
func For(goos, goarch string) *Program {
	mu.Lock()
	defer mu.Unlock()
	key := goos + "-" + goarch
	p, known := cache[key]
	if !known {
		p = find(goos, goarch)
		cache[key] = p
	}
	return p
}

func find(goos, goarch string) *Program {
	name := "bin/ddbproxy-relay-" + goos + "-" + goarch
	if packed, err := files.ReadFile(name + ".gz"); err == nil {
		// Hashing the unpacked program takes a tenth of a second, at every
		// connect: make has done it.
		if hash, err := files.ReadFile(name + ".sha256"); err == nil {
			return &Program{Gzip: packed, Hash: strings.TrimSpace(string(hash))}
		}
		return unpacked(packed)
	}
	if goos != runtime.GOOS || goarch != runtime.GOARCH {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	program, err := os.ReadFile(filepath.Join(filepath.Dir(self), "ddbproxy-relay"))
	if err != nil {
		return nil
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(program)
	w.Close()
	return unpacked(packed.Bytes())
}

// unpacked hashes what gzip will restore, the very bytes that will run.
func unpacked(packed []byte) *Program {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return nil
	}
	return &Program{Gzip: packed, Hash: hex.EncodeToString(h.Sum(nil))}
}
