package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// readOrNone reads a file; one that is not there is empty. What is no file, and
// could be without end, is an error.
func readOrNone(name string) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is no regular file")}
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// replaceFile puts data in place of a file in one step, with its owner and mode; a
// reader sees the old or the new whole. A symbolic link stays, and its target is
// replaced. A file that is not there is made, for this user alone.
func replaceFile(name string, data []byte) error {
	mode := fs.FileMode(0o600)
	own := func(string) error { return nil }
	switch target, terr := filepath.EvalSymlinks(name); {
	case terr == nil:
		info, err := os.Stat(target)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return &fs.PathError{Op: "replace", Path: name, Err: errors.New("it is no regular file")}
		}
		name, mode = target, info.Mode().Perm()
		own = func(temporary string) error { return sameOwner(info, temporary) }
	case !errors.Is(terr, fs.ErrNotExist):
		return terr
	default:
		if link, lerr := os.Readlink(name); lerr == nil {
			return &fs.PathError{Op: "follow the link", Path: name, Err: errors.New(link + " is not there")}
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
	}
	temporary, err := temporaryBeside(name, data)
	if err != nil {
		return err
	}
	defer os.Remove(temporary) // unless it got its name
	if err := errors.Join(own(temporary), os.Chmod(temporary, mode)); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

// makeFile makes a file for this user alone, whole; one that is there already
// stays as it is.
func makeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	temporary, err := temporaryBeside(name, data)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := os.Link(temporary, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// temporaryBeside writes data to a new file beside another, for this user alone,
// and gives its name.
func temporaryBeside(name string, data []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".ddbproxy-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}
