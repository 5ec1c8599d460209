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
	"io/fs"
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
	Hash string        // hex SHA-256 of the program itself
	Gzip func() []byte // the program, compressed: read or made when it is asked for
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
		if p = embedded(key); p == nil && key == runtime.GOOS+"-"+runtime.GOARCH {
			p = beside()
		}
		cache[key] = p
	}
	return p
}

// embedded finds a relay that make has built. Its hash is asked for at every
// connect, and takes a tenth of a second: so make has done that too.
func embedded(key string) *Program {
	name := "bin/ddbproxy-relay-" + key
	hash, err := files.ReadFile(name + ".sha256")
	if _, missing := fs.Stat(files, name+".gz"); err != nil || missing != nil {
		return nil
	}
	return &Program{Hash: strings.TrimSpace(string(hash)), Gzip: func() []byte {
		packed, _ := files.ReadFile(name + ".gz") // it is there
		return packed
	}}
}

// beside finds the relay in the directory of the running program.
func beside() *Program {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	program, err := os.ReadFile(filepath.Join(filepath.Dir(self), "ddbproxy-relay"))
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(program)
	return &Program{Hash: hex.EncodeToString(sum[:]), Gzip: func() []byte {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		w.Write(program)
		w.Close()
		return packed.Bytes()
	}}
}
