// Package owner gives files that root creates in a directory to the directory's
// owner: an operator may be root while the service, which has to read them, is not.
package owner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Create creates an empty file, readable only by the owner of its directory, or
// checks that an existing one can be written.
func Create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return Explain(usable(path), path)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(Adopt(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// MkdirAll creates a directory and its parents, owned by the owner of the first parent
// that exists.
func MkdirAll(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(path, 0o700) // which reports what is wrong
	}
	if parent := filepath.Dir(path); parent != path {
		if err := MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) { // another process was first
			err = nil
		}
		return err
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(Adopt(d), d.Close())
}
