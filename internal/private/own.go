package private

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Careful are flags with which a file is opened that may be somebody else's trap: no
// symbolic link is followed, and no pipe waited for.
const Careful = careful

// CheckOwn refuses what is not the process's own user's file and nobody else's: another
// one could read what is written there.
func CheckOwn(f interface{ Stat() (fs.FileInfo, error) }, path string) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return Refused(path + " is no file")
	case !own(info):
		return Refused(path + " belongs to somebody else: remove it, or name another file")
	case links(info) > 1:
		return Refused(path + " has another name, too (a hard link): remove it, or name another file")
	}
	return nil
}

// CheckPlace refuses a directory in which others could replace a file of the process's
// user: one of another user than root, or one in which everybody may remove what
// everybody has made. It also refuses a name that SQLite gives to files of its own,
// which it removes, or reads as its own, when it opens the database beside them.
func CheckPlace(path string) error {
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if strings.HasSuffix(strings.ToLower(path), end) {
			return Refused(path + " is a name of SQLite's own files, which it removes: one that does not end with " + end + " stays")
		}
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case os.Geteuid() != 0 && !owned(info):
		return Refused("the directory " + dir + " belongs to somebody else: use one of your own")
	case modes && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return Refused(fmt.Sprintf("everybody may write to the directory %s (mode %o): use one of your own", dir, info.Mode().Perm()))
	}
	return nil
}
