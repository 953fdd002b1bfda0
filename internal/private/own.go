package private

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Careful are flags for opening a file that may be a trap set by another user: no
// symbolic link is followed, and no pipe is waited for.
const Careful = careful

// CheckOwn refuses a file that is not owned by the process's user alone: others could
// read what is written there.
func CheckOwn(f interface{ Stat() (fs.FileInfo, error) }, path string) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return Refused(path + " is not a regular file")
	case !own(info):
		return Refused(path + " belongs to another user: remove it, or name another file")
	case links(info) > 1:
		return Refused(path + " also has another name (a hard link): remove it, or name another file")
	}
	return nil
}

// CheckPlace refuses a directory in which others could replace a file of the process's
// user: one owned by a user other than root, or one in which everyone may remove
// everyone's files. It also refuses a name that SQLite gives to files of its own,
// which it removes, or reads as its own, when it opens the database beside them.
func CheckPlace(path string) error {
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if strings.HasSuffix(strings.ToLower(path), end) {
			return Refused(path + " is a name that SQLite uses for its own files, which it removes: give one that does not end with " + end)
		}
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case os.Geteuid() != 0 && !owned(info):
		return Refused("the directory " + dir + " belongs to another user: use one of your own")
	case modes && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return Refused(fmt.Sprintf("the directory %s is writable by everyone (mode %o): use one of your own", dir, info.Mode().Perm()))
	}
	return nil
}
