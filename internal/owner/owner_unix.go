//go:build unix

package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Adopt gives a file that root has created to the owner of its directory. The file
// must be new and still open: its name may belong to another file by now.
func Adopt(f *os.File) error {
	like := filepath.Dir(f.Name())
	if os.Geteuid() != 0 {
		return nil
	}
	if info, err := os.Stat(like); err != nil || uid(info) == 0 {
		return err
	}
	return Give(f, like)
}

// Give gives a file the owner and group of another one.
func Give(f *os.File, like string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	was, is := info.Sys().(*syscall.Stat_t), mine.Sys().(*syscall.Stat_t)
	if was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
		return fmt.Errorf("%w: %s belongs to %s: run this as that user", err, like, name(was.Uid))
	}
	return nil
}

// AdoptSocket is Adopt for a socket, which has no open file.
func AdoptSocket(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || os.Geteuid() != 0 || uid(info) == 0 {
		return err
	}
	return os.Lchown(path, int(uid(info)), int(info.Sys().(*syscall.Stat_t).Gid))
}

// Explain adds to an error what is wrong with the owner of a file that cannot be
// opened because it does not belong to the owner of its directory.
func Explain(err error, paths ...string) error {
	if err == nil {
		return nil
	}
	for _, path := range paths {
		file, serr := os.Stat(path)
		dir, derr := os.Stat(filepath.Dir(path))
		if !errors.Is(usable(path), fs.ErrPermission) || serr != nil || derr != nil || uid(file) == uid(dir) {
			continue
		}
		return fmt.Errorf("%w; %s belongs to %s, and its directory to %s: run chown %s %s", err, path, name(uid(file)), name(uid(dir)), name(uid(dir)), path)
	}
	return err
}

// usable returns why a file cannot be read and written, or nil. It does not open the
// file: closing it would release this process's locks on it.
func usable(path string) error {
	const readAndWrite = 6
	if err := syscall.Access(path, readAndWrite); err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

func uid(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// name returns the name of a user, or the number if there is none.
func name(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
