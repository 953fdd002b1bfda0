// Package private reads, writes and locks files that belong to one user: files that
// others can read or change are refused, and left as they are.
package private

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Refused is the reason why a file is not used, and what to do.
type Refused string

func (r Refused) Error() string { return string(r) }

// Resolve follows a symbolic link at path, unless another user made it, and returns
// where the file itself is or would be.
func Resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for {
		link, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && link.Mode()&fs.ModeSymlink == 0:
			return inDir(path), nil
		case err != nil:
			return "", err
		case !owned(link):
			return "", Refused(path + " is a symbolic link made by another user: remove it, or name another file")
		}
		target, err := os.Readlink(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
			continue // the link has been removed meanwhile, or replaced by a file
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Dir(path) + string(filepath.Separator) + target // Join would take ".." off a link to a directory
		}
		at, err := filepath.EvalSymlinks(target)
		if errors.Is(err, fs.ErrNotExist) {
			return "", Refused(path + " is a symbolic link to a file that does not exist: remove it, or name another file")
		}
		return at, err
	}
}

// inDir returns path with the symbolic links of its directory followed. Write and Lock
// make the directory, so that a part of it, or all, may be missing.
func inDir(path string) string {
	dir, rest := filepath.Dir(path), filepath.Base(path)
	for {
		if at, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(at, rest)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return path
		}
		dir, rest = up, filepath.Join(filepath.Base(dir), rest)
	}
}

// Read returns the content of a file of at most limit bytes. The error is
// fs.ErrNotExist if it does not exist, and Refused if it is too long, not a file, or
// not private.
func Read(path string, limit int64) ([]byte, error) {
	at, err := Resolve(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(at, os.O_RDONLY|careful, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkFile(f, at); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, Refused(fmt.Sprintf("%s is longer than %d bytes", at, limit))
	}
	return text, nil
}

// checkFile refuses a file that is not private, and a directory in which others
// could put another file in its place.
func checkFile(f *os.File, at string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return Refused(at + " is not a file")
	case !owned(info):
		return Refused(at + " belongs to another user: remove it, or name another file")
	case modes && mode.Perm()&0o077 != 0:
		return Refused(fmt.Sprintf("%s is readable by other users (mode %o): run chmod 600, and log out if someone may have read it", at, mode.Perm()))
	}
	return checkDir(filepath.Dir(at))
}

func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return Refused(dir + " is not a directory")
	case modes && info.Mode().Perm()&0o022 != 0:
		return Refused(fmt.Sprintf("the directory %s is writable by other users (mode %o): use one of your own, or run chmod 700 on it", dir, info.Mode().Perm()))
	case !owned(info):
		return Refused("the directory " + dir + " belongs to another user: use one of your own")
	}
	return nil
}

// Write replaces a file in one step, so that a reader sees the old one or the
// new one and a crash leaves one of the two, with mode 0600. It makes the
// directory if there is none, with mode 0700.
func Write(path string, data []byte) error {
	at, tmp, err := beside(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, at); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(at))
}

// Try checks whether Write would succeed with a number of bytes, by writing as many
// to the directory and removing them again.
func Try(path string, size int) error {
	_, tmp, err := beside(path, make([]byte, size))
	if err != nil {
		return err
	}
	return os.Remove(tmp)
}

// beside writes a temporary file, with mode 0600, to the directory of the file at
// path, and returns the paths of both.
func beside(path string, data []byte) (at, tmp string, err error) {
	if at, err = Ready(path); err != nil {
		return "", "", err
	}
	f, err := os.CreateTemp(filepath.Dir(at), ".session-*")
	if err != nil {
		return "", "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", "", errors.Join(err, os.Remove(f.Name()))
	}
	return at, f.Name(), nil
}

// Ready creates the directory of path, checks it, and returns where the file is.
func Ready(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	at, err := Resolve(path)
	if err != nil {
		return "", err
	}
	return at, checkDir(filepath.Dir(at))
}

// A LockFile is held by one caller of one process at a time. It also remembers a
// number for each of a few names. The zero value is not usable.
type LockFile struct{ Path string }

// Lock waits for the lock, or until ctx is done. A crash of the holder releases it.
// Calling unlock twice is harmless.
func (l LockFile) Lock(ctx context.Context) (unlock func(), err error) {
	at, err := Ready(l.Path)
	if err != nil {
		return nil, err
	}
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if unlock, err := try(at); unlock != nil || err != nil {
			return unlock, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Number returns the number that SetNumber stored for whose, or 0; for "" it is the
// highest of all. Call both while holding the lock.
func (l LockFile) Number(whose string) (n int64, err error) {
	kept, err := l.numbers()
	for _, k := range kept {
		if whose == "" || k.mark == "" || k.mark == mark(whose) {
			n = max(n, k.n)
		}
	}
	return n, err
}

// A number is one line of a lock file.
type number struct {
	n    int64
	mark string // of the name; "" in files of versions without marks
}

// mark returns a hash that represents a name in a lock file without revealing it.
func mark(whose string) string {
	if whose == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(whose))
	return hex.EncodeToString(sum[:8])
}

// numbers returns the lines of the file, without one cut short by a crash.
func (l LockFile) numbers() (kept []number, err error) {
	text, err := Read(l.Path, maxNumbers*100)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for line := range strings.Lines(string(text)) {
		words := append(strings.Fields(line), "", "")
		if n, err := strconv.ParseInt(words[0], 10, 64); err == nil {
			kept = append(kept, number{n, words[1]})
		}
	}
	return kept, err
}

// maxNumbers is how many names have a number in a lock file.
const maxNumbers = 16

// Change replaces the file's content, up to 64 KiB, by what f returns for it, while
// holding the lock. The file must not be a symbolic link. The lock is held so briefly
// that waiters poll it often. A crash leaves the old bytes, the new ones, or the
// beginning of the new ones before the rest of the old.
func (l LockFile) Change(ctx context.Context, f func(old []byte) []byte) error {
	at := l.Path
	unlock, err := try(at)
	if errors.Is(err, fs.ErrNotExist) {
		if at, err = Ready(l.Path); err == nil {
			unlock, err = try(at)
		}
	}
	for ; unlock == nil && err == nil; unlock, err = try(at) {
		select {
		case <-time.After(500 * time.Microsecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	defer unlock()
	file, err := os.OpenFile(at, os.O_RDWR|careful, 0)
	if err != nil {
		return err
	}
	var old []byte
	info, err := file.Stat()
	if err == nil {
		old = make([]byte, min(info.Size(), 64<<10))
		_, err = io.ReadFull(file, old)
	}
	if err == nil {
		text := f(old)
		_, err = file.WriteAt(text, 0)
		if err == nil && len(text) < len(old) {
			err = file.Truncate(int64(len(text)))
		}
	}
	return errors.Join(err, file.Close())
}

// SetNumber stores n as the number of whose, and keeps those of the last few others. It
// writes in place, because the file must stay the locked one.
func (l LockFile) SetNumber(whose string, n int64) error {
	kept, err := l.numbers()
	if err != nil {
		return err
	}
	own := mark(whose)
	kept = slices.DeleteFunc(kept, func(k number) bool { return k.mark == own || k.mark == "" })
	kept = append([]number{{n, own}}, kept...)
	var text []byte
	for _, k := range kept[:min(len(kept), maxNumbers)] {
		text = fmt.Appendf(text, "%20d %s\n", k.n, k.mark)
	}
	at, err := Resolve(l.Path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|careful, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Truncate(int64(len(text)))
	}
	return errors.Join(err, f.Close())
}
